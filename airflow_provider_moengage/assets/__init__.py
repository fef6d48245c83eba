"""The assets: segments that DAGs produce and wait for."""
