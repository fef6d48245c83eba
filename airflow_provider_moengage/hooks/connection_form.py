"""
The fields of the connection form, in one table.

Airflow 3.2 and newer reads them from the provider's metadata, an older one from two classmethods of the hook.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_moengage.client.datacenters import DATA_CENTERS


class ExtraField(NamedTuple):
    """
    A field of the form that is kept in the connection's extra. None is required: the form then saves it as null.

    :param label: its title.
    :param description: what stands below it.
    :param kind: its type in JSON Schema.
    :param choices: the values that it takes, each with what is shown for it; any value when empty.
    """

    label: str
    description: str
    kind: str = "string"
    choices: Mapping[str, str] = MappingProxyType({})


_DATA_CENTERS = {known.number: f"{known.number} ({known.region})" for known in DATA_CENTERS.values()}

EXTRA_FIELDS = {
    "data_center": ExtraField(
        "Data center",
        "The number in the address of your MoEngage dashboard, such as https://dashboard-01.moengage.com: "
        f"{', '.join(_DATA_CENTERS.values())}. Required unless there is a host.",
        choices=_DATA_CENTERS,
    ),
    "app_key": ExtraField(
        "App key",
        "The header MOE-APPKEY. Leave it empty, unless your account is an old one in which it differs from the "
        "Workspace ID.",
    ),
    "database_name": ExtraField(
        "Database name",
        "The header MOE-DBNAME. MoEngage's documents require it for archive, unarchive and file segments; the header "
        "MOE-APPKEY has been enough so far. Fill it in when MoEngage asks for it.",
    ),
    "connect_timeout": ExtraField(
        "Connect timeout", "Seconds to wait for a connection to MoEngage: 5 when empty.", kind="number"
    ),
    "read_timeout": ExtraField(
        "Read timeout", "Seconds to wait for an answer to begin or go on: 30 when empty.", kind="number"
    ),
}

# The one place that Airflow shows before Extra Fields is opened, and in which a provider may say something.
RELABELED = {
    "login": "Workspace ID",
    "password": "Data API key",
    "host": "Host (empty: choose the Data center under Extra Fields)",
}

PLACEHOLDERS = {
    "login": "in older accounts: DATA API ID",
    "password": "from Settings > Account > APIs in MoEngage",
    "host": "empty, or such as http://127.0.0.1:8900 for a sandbox",
}

HIDDEN = ["schema", "port"]  # a host may have both: https://proxy.example:8443


def metadata() -> dict[str, Any]:
    """
    Describe the form for a connection type in the provider's metadata.

    :return: its keys ``conn-fields`` and ``ui-field-behaviour``.
    """
    return {
        "conn-fields": {
            name: {"label": extra.label, "description": extra.description, "schema": _schema_of(extra)}
            for name, extra in EXTRA_FIELDS.items()
        },
        "ui-field-behaviour": {"hidden-fields": HIDDEN, "relabeling": RELABELED, "placeholders": PLACEHOLDERS},
    }


def behaviour() -> dict[str, Any]:
    """
    Describe the fields that every connection has, for Airflow before 3.2.

    :return: what a hook's ``get_ui_field_behaviour`` returns.
    """
    return {"hidden_fields": HIDDEN, "relabeling": RELABELED, "placeholders": PLACEHOLDERS}


def widgets() -> dict[str, Any]:
    """
    Make the fields of the extra for Airflow before 3.2: of wtforms on 2.11, of Airflow's stand-in for it on 3.0, 3.1.

    :return: what a hook's ``get_connection_form_widgets`` returns.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found]
    from wtforms import StringField  # type: ignore[import-untyped]
    from wtforms.validators import Optional, any_of  # type: ignore[import-untyped]

    # Airflow takes no other class for a choice, and for a number none that takes a half.
    return {
        name: StringField(
            extra.label,
            description=extra.description,
            validators=[Optional(), any_of(list(extra.choices))] if extra.choices else [Optional()],
            widget=_Dropdown(extra.choices) if extra.choices else BS3TextFieldWidget(),
        )
        for name, extra in EXTRA_FIELDS.items()
    }


def _schema_of(extra: ExtraField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [extra.kind, "null"]}
    if extra.choices:
        # The form shows values_display and saves the value.
        schema.update({"enum": list(extra.choices), "values_display": dict(extra.choices)})
    if extra.kind == "number":
        schema["minimum"] = 0
    return schema


class _Dropdown:
    """Draws a text field of wtforms as a list to choose from."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        self._choices = choices

    def __call__(self, field: Any, **_: Any) -> Any:
        from markupsafe import Markup

        saved = "" if field.data is None else str(field.data)
        # What was saved in another spelling stays, instead of being lost when somebody edits another field.
        shown = {"": "", saved: saved, **self._choices}
        options = "".join(
            f'<option value="{escape(value)}"{" selected" if value == saved else ""}>{escape(text)}</option>'
            for value, text in shown.items()
        )
        return Markup(f'<select class="form-control" id="{field.id}" name="{field.name}">{options}</select>')  # noqa: S704 - escaped above
