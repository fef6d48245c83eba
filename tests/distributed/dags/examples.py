"""Examples, with retries and polls that do not wait for minutes. (Airflow looks for these words: airflow, DAG.)"""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "example_dags"

SOONER = {
    '"retry_delay": timedelta(minutes=5)': '"retry_delay": timedelta(0)',
    "deferrable=True,\n        timeout=timedelta(days=2),": "deferrable=True,\n        poke_interval=3,",
    # Started by the tests, and not by their schedules.
    'schedule="@weekly",': "schedule=None,",
}

sources = {name: (EXAMPLES / name).read_text() for name in ("archive_expired_segments.py", "segment_lifecycle.py")}
for given, sooner in SOONER.items():
    assert any(given in source for source in sources.values()), f"No example has {given!r} any more."
    sources = {name: source.replace(given, sooner) for name, source in sources.items()}

for name, source in sources.items():
    # segment_lifecycle.py reads a file that lies beside it.
    namespace = globals() | {"__file__": str(EXAMPLES / name)}
    exec(compile(source, EXAMPLES / name, "exec"), namespace)  # noqa: S102 - our own examples
