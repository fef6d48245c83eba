"""The plugin that mounts the receiver of callbacks. Every process of Airflow loads it: it imports next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

if TYPE_CHECKING:
    from airflow_provider_moengage.plugins.receiver import Receive, Scope, Send


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
    """Mounts the receiver below ``/moengage`` of the API server, on Airflow 3."""

    name = "moengage"
    fastapi_apps = _mounted()
