"""What `make airflow` promises of a new file; tests/system/test_user_interface.py follows its words in a browser."""

from __future__ import annotations

from demo.playground import SETTINGS
from tests.support import once

PROMISED_SECONDS = 10
# What is left of that for what takes a processor's time: a process that imports Airflow and the file.
SECONDS_TO_PARSE = 4


def seconds(option):
    return int(SETTINGS[f"AIRFLOW__DAG_PROCESSOR__{option.upper()}"])


@once
def test_a_new_file_shows_in_time():
    from airflow.configuration import conf

    options = ("refresh_interval", "bundle_refresh_check_interval", "min_file_process_interval")
    # By its own: a setting that Airflow does not know changes nothing.
    assert all(conf.has_option("dag_processor", option) for option in options)
    to_find = seconds("refresh_interval") + seconds("bundle_refresh_check_interval")
    assert to_find + SECONDS_TO_PARSE <= PROMISED_SECONDS
    assert seconds("min_file_process_interval") + SECONDS_TO_PARSE <= PROMISED_SECONDS, "what was changed, too"
