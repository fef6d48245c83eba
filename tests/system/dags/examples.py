"""The examples that need a scheduler: an asset starts the DAG, or a person answers. (Airflow looks for these words.)"""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "example_dags"

for name in ("archive_expired_segments.py", "keep_segments_in_git.py", "update_on_fresh_data.py"):
    # Paused, or their schedules would start them beside every other test.
    source = (EXAMPLES / name).read_text().replace("catchup=False,", "catchup=False, is_paused_upon_creation=True,")
    # An example looks for what is beside it.
    exec(compile(source, EXAMPLES / name, "exec"), {**globals(), "__file__": str(EXAMPLES / name)})  # noqa: S102 - ours
