"""What Airflow's API server runs of this package: the receiver of MoEngage's callbacks. Off by default."""
