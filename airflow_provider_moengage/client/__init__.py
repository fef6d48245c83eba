"""
The MoEngage Segments API in plain Python.

Nothing below this folder imports Airflow: the client works in a script, a notebook or a test as it does in a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.client.errors import MoEngageError

if TYPE_CHECKING:
    from airflow_provider_moengage.client.client import MoEngageClient

__all__ = ["MoEngageClient", "MoEngageError"]


def __getattr__(name: str) -> Any:
    """Load the client on first use: it brings requests, which parsing a DAG file can do without."""
    if name == "MoEngageClient":
        from airflow_provider_moengage.client.client import MoEngageClient

        return MoEngageClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
