"""Apache Airflow provider for MoEngage custom segments."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_ASSETS = "airflow_provider_moengage.assets.segments"
_ASSET_URIS = [
    {
        "schemes": ["moengage"],
        "handler": f"{_ASSETS}.sanitize_uri",
        "factory": f"{_ASSETS}.create_asset",
        "to_openlineage_converter": f"{_ASSETS}.convert_asset_to_openlineage",
    }
]
_CONFIG = {
    "moengage": {
        "description": "How MoEngage's callbacks about file segments come to Airflow.",
        "options": {
            "receive_callbacks": {
                "description": (
                    "Whether the API server takes MoEngage's callbacks, at /moengage/callback of its public address. "
                    "Airflow 3 only; for the API server and the workers alike."
                ),
                "version_added": __version__,
                "type": "boolean",
                "example": "True",
                "default": "False",
            },
            "callback_base_url": {
                "description": (
                    "The public address that MoEngage posts its callbacks to, where that is not [api] base_url: "
                    "another name of the API server, or a relay."
                ),
                "version_added": __version__,
                "type": "string",
                "example": "https://callbacks.example.com",
                "default": "",
            },
        },
    }
}


def get_provider_info() -> dict[str, Any]:
    """
    Describe this provider to Airflow, which finds it by the entry point ``apache_airflow_provider``.

    :return: the provider's metadata, in the shape of Airflow's ``provider_info.schema.json``.
    """
    from airflow_provider_moengage.hooks import connection_form

    return {
        "package-name": "airflow-provider-moengage",
        "name": "MoEngage",
        "description": "Archive, unarchive, update and wait for `MoEngage <https://www.moengage.com/>`__ segments.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "moengage",
                "hook-class-name": "airflow_provider_moengage.hooks.moengage.MoEngageHook",
                "hook-name": "MoEngage",
                **connection_form.metadata(),
            }
        ],
        "extra-links": ["airflow_provider_moengage.links.segments.SegmentLink"],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,  # their name before Airflow 3
        "config": _CONFIG,
    }
