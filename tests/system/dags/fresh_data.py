"""The example that needs a scheduler, since an asset starts its DAG. (Airflow looks for these two words in a file.)"""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "example_dags"
globals().update(runpy.run_path(str(EXAMPLES / "update_on_fresh_data.py")))
