"""The hook: an Airflow Connection becomes a MoEngageClient."""
