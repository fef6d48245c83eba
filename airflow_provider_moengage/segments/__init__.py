"""
What a job decides about segments: which, what is to be done, what has become of them. Plain Python.

No Airflow and no HTTP: of the client only its errors and its checks of input, so that every decision is tested without
either.
"""
