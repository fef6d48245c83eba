"""
The plugin: the receiver of callbacks in the API server, the operators in the DAG processor.

Every process of Airflow loads it: in the others it imports next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

if TYPE_CHECKING:
    from airflow_provider_moengage.plugins.receiver import Receive, Scope, Send

# What DAG files import.
_OF_DAG_FILES = (
    "assets.segments",
    "operators.bulk",
    "operators.create",
    "operators.file_segments",
    "operators.segments",
    "operators.update",
    "sensors.file_segments",
    "sensors.segments",
    "transfers.local_file_to_segment",
    "transfers.sql_to_segment",
)


def is_wanted() -> bool:
    """
    Tell whether callbacks are to be received here.

    :return: whether ``[moengage] receive_callbacks`` is true and the public address is known.
    """
    if not conf.getboolean("moengage", "receive_callbacks", fallback=False):
        return False
    addresses = (("moengage", "callback_base_url"), ("api", "base_url"))
    return any(conf.get(section, option, fallback="") for section, option in addresses)


async def receive_callbacks(scope: Scope, receive: Receive, send: Send) -> None:
    """
    Answer a request. Whatever that needs is imported with the first one.

    :param scope: what ASGI says of the request.
    :param receive: gives the body.
    :param send: takes the answer.
    """
    from airflow_provider_moengage.plugins.receiver import RECEIVER

    await RECEIVER(scope, receive, send)


def _mounted() -> list[dict[str, Any]]:
    return [{"app": receive_callbacks, "url_prefix": "/moengage", "name": "MoEngage callbacks"}] if is_wanted() else []


class MoEngagePlugin(AirflowPlugin):
    """What the API server mounts below ``/moengage``, on Airflow 3, and what the DAG processor imports at its start."""

    name = "moengage"
    fastapi_apps = _mounted()

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:  # noqa: ARG003 - Airflow's
        """
        Import what DAG files import, once for all of them: each is parsed in a process that is a copy of this one.

        Airflow does so itself with what is named ``airflow.*``. Its option ``[dag_processor]
        parsing_pre_import_modules``, which is on by default, decides for both.
        """
        is_dag_processor = sys.argv[1:2] == ["dag-processor"]
        if is_dag_processor and conf.getboolean("dag_processor", "parsing_pre_import_modules", fallback=True):
            for module in _OF_DAG_FILES:
                import_module(f"airflow_provider_moengage.{module}")
