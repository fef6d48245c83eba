"""What `make demo` and `make airflow` run."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
