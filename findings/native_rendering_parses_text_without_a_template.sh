#!/usr/bin/env bash
# Airflow 3.3.2.
#
# With render_template_as_native_obj=True a template field whose text has no template in it is parsed as a Python
# literal all the same: "2026" becomes an int, "1_000" 1000, "None" None. Leading zeros and dates happen to stay text.
# A name or an id that consists of digits changes its type between two DAGs that differ in this one setting.
#
# Seen: 2026 int, 1_000 int, 1e3 float, None NoneType, 007 str, 2026-11-27 str
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - <<'PY' | tail -n 1
from airflow.sdk import DAG, BaseOperator


class Named(BaseOperator):
    template_fields = ("name",)

    def __init__(self, *, name, **kwargs):
        super().__init__(**kwargs)
        self.name = name


texts = ["2026", "1_000", "1e3", "None", "007", "2026-11-27"]
with DAG("names", schedule=None, render_template_as_native_obj=True):
    tasks = [Named(task_id=f"task_{number}", name=text) for number, text in enumerate(texts)]
for task in tasks:
    task.render_template_fields({})
print(", ".join(f"{text} {type(task.name).__name__}" for text, task in zip(texts, tasks)))
PY
)
echo "$seen"
[ "$seen" = '2026 int, 1_000 int, 1e3 float, None NoneType, 007 str, 2026-11-27 str' ]
