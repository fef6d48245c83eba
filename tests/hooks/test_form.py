"""The connection form: what each Airflow shows of the one table, and what comes of that which it saves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers.common.compat.sdk import Connection
from packaging.version import Version

from airflow_provider_moengage import get_provider_info
from airflow_provider_moengage.client.datacenters import DATA_CENTERS
from airflow_provider_moengage.hooks.connection_form import EXTRA_FIELDS
from airflow_provider_moengage.hooks.moengage import MoEngageHook, client_of

AIRFLOW = Version(version("apache-airflow"))
needs_airflow_2 = pytest.mark.skipif(Version("3") <= AIRFLOW, reason="the form of Airflow 3 is not made with wtforms")
needs_airflow_3 = pytest.mark.skipif(Version("3") > AIRFLOW, reason="Airflow 2 has no API for its form")
needs_conn_fields = pytest.mark.skipif(Version("3.2") > AIRFLOW, reason="conn-fields came with Airflow 3.2")
needs_the_provider = pytest.mark.skipif(
    "airflow_provider_moengage" not in {entry.module for entry in entry_points(group="apache_airflow_provider")},
    reason="the provider is not installed here, so that Airflow does not find it",
)

STANDARD_LABELS = {
    "login": "Workspace ID",
    "password": "Data API key",
    "host": "Host (empty: choose the Data center under Extra Fields)",
}


def test_the_table():
    assert list(EXTRA_FIELDS) == [
        "data_center",
        "app_key",
        "database_name",
        "connect_timeout",
        "read_timeout",
    ]
    assert list(EXTRA_FIELDS["data_center"].choices) == list(DATA_CENTERS)
    assert EXTRA_FIELDS["data_center"].choices["03"] == "03 (India)"
    assert "03 (India)" in EXTRA_FIELDS["data_center"].description  # where a list shows the bare value
    for extra in EXTRA_FIELDS.values():
        assert re.fullmatch(r"[A-Z].+\.", extra.description)


def test_the_metadata_and_the_methods_say_the_same():
    (metadata,) = get_provider_info()["connection-types"]
    behaviour = MoEngageHook.get_ui_field_behaviour()
    assert metadata["ui-field-behaviour"] == {name.replace("_", "-"): said for name, said in behaviour.items()}
    assert behaviour["relabeling"] == STANDARD_LABELS
    assert behaviour["hidden_fields"] == ["schema", "port"]
    fields = metadata["conn-fields"]
    assert {name: field["label"] for name, field in fields.items()} == {
        name: extra.label for name, extra in EXTRA_FIELDS.items()
    }


def test_the_metadata_costs_nothing():
    """Every process of Airflow asks for it."""
    code = "import sys, airflow_provider_moengage as it; it.get_provider_info(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "airflow_provider_moengage.hooks.connection_form" in loaded
    assert not {"airflow", "requests", "urllib3", "wtforms"} & set(loaded)


@needs_conn_fields
def test_airflow_accepts_the_fields():
    """Against the schema of what Airflow's own providers declare: that of the metadata lets everything through."""
    schema = json.loads((Path(airflow.__file__).parent / "provider.yaml.schema.json").read_text())
    connection_types = schema["properties"]["connection-types"]
    assert "conn-fields" in connection_types["items"]["properties"]
    jsonschema.validate(get_provider_info()["connection-types"], connection_types)


@needs_the_provider
@needs_airflow_3
@pytest.mark.skipif(
    Version("3.2") > AIRFLOW and find_spec("flask_appbuilder") is None,
    reason="before 3.2 Airflow has a form only where FAB is installed",
)
def test_what_the_ui_gets():
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (meta,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "moengage"]
    standard = meta.standard_fields
    assert {name: getattr(standard, name).title for name in STANDARD_LABELS} == STANDARD_LABELS
    assert (standard.url_schema.hidden, standard.port.hidden, standard.host.hidden) == (True, True, False)
    shown = meta.extra_fields
    assert {name: field["schema"]["title"] for name, field in shown.items()} == {
        name: extra.label for name, extra in EXTRA_FIELDS.items()
    }
    for name, extra in EXTRA_FIELDS.items():
        assert shown[name]["description"] == extra.description
        assert shown[name]["value"] is None
        assert "null" in shown[name]["schema"]["type"]  # optional
        assert shown[name]["schema"].get("enum", []) == list(extra.choices)
        if Version("3.2") <= AIRFLOW:
            assert shown[name]["schema"].get("values_display", {}) == extra.choices


@pytest.fixture
def form_of_airflow_2():
    """The class of the form that Airflow 2 makes of the fields of all providers, and how it saves one."""
    from airflow.www.forms import create_connection_form_class
    from airflow.www.views import ConnectionModelView
    from flask import Flask

    app = Flask("form")
    app.config.update(SECRET_KEY="x", WTF_CSRF_ENABLED=False)
    view = ConnectionModelView.__new__(ConnectionModelView)
    with app.test_request_context(method="POST"):
        yield create_connection_form_class(), view


@needs_the_provider
@needs_airflow_2
class TestAirflow2:
    def test_fields_and_labels(self):
        from airflow.providers_manager import ProvidersManager

        manager = ProvidersManager()
        assert manager.hooks["moengage"].hook_name == "MoEngage"
        widgets = {name: widget for name, widget in manager.connection_form_widgets.items() if "moengage" in name}
        assert {widget.field_name for widget in widgets.values()} == set(EXTRA_FIELDS)
        assert set(widgets) == {f"extra__moengage__{name}" for name in EXTRA_FIELDS}
        for widget in widgets.values():
            extra = EXTRA_FIELDS[widget.field_name]
            assert widget.field.args == (extra.label,)
            assert widget.field.kwargs["description"] == extra.description
            assert not widget.is_sensitive
        behaviour = manager.field_behaviours["moengage"]
        assert behaviour["relabeling"] == STANDARD_LABELS
        assert behaviour["hidden_fields"] == ["schema", "port"]

    def test_lists_to_choose_from(self, form_of_airflow_2):
        form = form_of_airflow_2[0]()
        html = form["extra__moengage__data_center"]()
        assert html.startswith('<select class="form-control" id="extra__moengage__data_center" name="extra__moe')
        assert re.findall('<option value="([^"]*)"( selected)?>([^<]*)<', html) == [
            ("", " selected", ""),
            *((number, "", shown) for number, shown in EXTRA_FIELDS["data_center"].choices.items()),
        ]
        assert 'class="form-control"' in form["extra__moengage__read_timeout"]()

    @pytest.mark.parametrize(("saved", "shown"), [("03", "03 (India)"), ("DC-01", "DC-01"), ('"><b>', "&quot;&gt;")])
    def test_what_was_saved_is_chosen(self, form_of_airflow_2, saved, shown):
        form = form_of_airflow_2[0]()
        form.extra.data = json.dumps({"data_center": saved})
        form_of_airflow_2[1].prefill_form(form, 1)
        (chosen,) = re.findall("<option [^>]* selected>[^<]*", form["extra__moengage__data_center"]())
        assert shown in chosen

    def test_from_the_form_to_a_client(self, form_of_airflow_2, monkeypatch):
        from airflow.models import Connection
        from werkzeug.datastructures import ImmutableMultiDict

        filled = {
            "conn_id": "by_form",
            "conn_type": "moengage",
            "login": "W",
            "password": "hunter2-hunter2",
            "extra": "",
            "extra__moengage__data_center": "03",
            "extra__moengage__connect_timeout": "1.5",
            **{f"extra__moengage__{name}": "" for name in ("app_key", "database_name", "read_timeout")},
        }
        form_class, view = form_of_airflow_2
        form = form_class(formdata=ImmutableMultiDict(filled))
        assert form.validate(), form.errors
        view.process_form(form, is_created=True)
        connection = Connection(conn_id="by_form", conn_type="moengage", login="W", password="k", extra=form.extra.data)
        monkeypatch.setenv("AIRFLOW_CONN_BY_FORM", connection.get_uri())
        client = MoEngageHook("by_form").client
        assert (client.base_url, client.timeout) == ("https://api-03.moengage.com", (1.5, 30))

    def test_no_other_data_center(self, form_of_airflow_2):
        from werkzeug.datastructures import ImmutableMultiDict

        filled = {"conn_id": "by_form", "conn_type": "moengage", "extra__moengage__data_center": "07"}
        form = form_of_airflow_2[0](formdata=ImmutableMultiDict(filled))
        assert not form.validate()
        assert set(form.errors) == {"extra__moengage__data_center"}


UNTOUCHED = dict.fromkeys(EXTRA_FIELDS)


@pytest.mark.parametrize(
    ("extra", "host", "timeout"),
    [
        # Airflow 3.3, whose numbers are numbers and whose untouched fields are null
        ({**UNTOUCHED, "data_center": "03", "read_timeout": 12.5}, "api-03", (5, 12.5)),
        ({**UNTOUCHED, "data_center": "101", "connect_timeout": 2}, "api-101", (2, 30)),
        # a field that was filled and emptied again
        ({**dict.fromkeys(EXTRA_FIELDS, ""), "data_center": "06"}, "api-06", (5, 30)),
        # the Test button of Airflow 2, which sends each field under two names and all of them as text
        (
            {
                "extra__moengage__data_center": "02",
                "data_center": "02",
                "extra__moengage__read_timeout": "60",
                "read_timeout": "60",
            },
            "api-02",
            (5, 60),
        ),
        # saved before there was a form
        ({"data_center": "DC-01"}, "api-01", (5, 30)),
        ({"data_center": "1"}, "api-01", (5, 30)),
        ({"data_center": 1, "connect_timeout": 2.5}, "api-01", (2.5, 30)),
    ],
)
def test_what_a_form_saves_works(monkeypatch, extra, host, timeout):
    connection = {"conn_type": "moengage", "login": "W", "password": "hunter2-hunter2", "port": 0, "schema": ""}
    monkeypatch.setenv("AIRFLOW_CONN_BY_FORM", json.dumps({**connection, "host": "", "extra": extra}))
    client = MoEngageHook("by_form").client
    assert client.base_url == f"https://{host}.moengage.com"
    assert client.timeout == timeout
    assert client.database_name is None


@pytest.mark.parametrize("number", list(EXTRA_FIELDS["data_center"].choices))
def test_every_choice_leads_to_its_data_center(monkeypatch, number):
    connection = {"conn_type": "moengage", "login": "W", "password": "k", "extra": {**UNTOUCHED, "data_center": number}}
    monkeypatch.setenv("AIRFLOW_CONN_BY_FORM", json.dumps(connection))
    assert MoEngageHook("by_form").client.base_url == f"https://api-{number}.moengage.com"


def test_a_port_of_0_is_none():
    """Airflow's Test button sends it for a field that is empty."""
    address = "http://127.0.0.1:8900"
    connection = Connection(conn_id="by_form", conn_type="moengage", login="W", password="k", host=address, port=0)
    assert client_of(connection).base_url == address
