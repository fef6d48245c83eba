"""What a job decides about segments, in plain Python: no Airflow and no HTTP."""
