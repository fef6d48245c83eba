"""The example that needs a scheduler, since an asset starts its DAG. (Airflow looks for these two words in a file.)"""

from __future__ import annotations

from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "example_dags" / "update_on_fresh_data.py"

# Paused, or its schedule would start it beside every other test.
paused = EXAMPLE.read_text().replace("catchup=False,", "catchup=False, is_paused_upon_creation=True,")
exec(compile(paused, EXAMPLE, "exec"))  # noqa: S102 - our own example
