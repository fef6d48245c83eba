"""The URI of a segment, and what Airflow makes of it."""

from __future__ import annotations

import sys
import types
from importlib.metadata import version
from urllib.parse import urlsplit, urlunsplit

import pytest
from airflow.providers.common.compat.sdk import Asset
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from airflow_provider_moengage.assets.segments import convert_asset_to_openlineage, create_asset, sanitize_uri
from tests.support import UNKNOWN_ID

BEFORE_ASSETS = Version(version("apache-airflow")) < Version("3")
URI = f"moengage://EXAMPLE_WS/segments/{UNKNOWN_ID}"


def sanitized(uri):
    return urlunsplit(sanitize_uri(urlsplit(uri)))


@pytest.mark.parametrize(
    "written",
    [
        URI,
        f"{URI}/",
        f"MoEngage://EXAMPLE_WS/segments/{UNKNOWN_ID.upper()}",
        f"moengage://EXAMPLE%5FWS/segments/%36{UNKNOWN_ID[1:]}",
    ],
)
def test_airflow_normalises_it(written):
    assert Asset(uri=written).uri == URI


def test_the_workspace_keeps_its_case():
    assert sanitized(f"moengage://Ws-1.a/segments/{UNKNOWN_ID}") != sanitized(
        f"moengage://WS-1.a/segments/{UNKNOWN_ID}"
    )


REFUSED = [
    ("moengage://", "the workspace id is missing"),
    (f"moengage:///segments/{UNKNOWN_ID}", "the workspace id is missing"),
    (f"moengage://two%20words/segments/{UNKNOWN_ID}", "has a blank or a colon inside"),
    (f"moengage://WS%0A/segments/{UNKNOWN_ID}", "must be text in printable ASCII"),
    (f"moengage://WS%FF/segments/{UNKNOWN_ID}", "must be text in printable ASCII"),
    ("moengage://WS", "an id of 24 hexadecimal characters, not '"),
    ("moengage://WS/segments", "not '/segments' at its end"),
    ("moengage://WS/segments/63d8", "not '/segments/63d8' at its end"),
    (f"moengage://WS/segments/{UNKNOWN_ID}0", "an id of 24 hexadecimal characters"),
    (f"moengage://WS/segments/{UNKNOWN_ID}%0A", "an id of 24 hexadecimal characters"),
    (f"moengage://WS//segments/{UNKNOWN_ID}", "an id of 24 hexadecimal characters"),
    (f"moengage://WS/Segments/{UNKNOWN_ID}", "an id of 24 hexadecimal characters"),
    (f"moengage://WS/segments/{UNKNOWN_ID}/users", "an id of 24 hexadecimal characters"),
    (f"moengage://WS/segments/{UNKNOWN_ID}?a=b", "without a query"),
]


@pytest.mark.parametrize(("uri", "sentence"), REFUSED)
def test_a_malformed_one_is_refused_when_the_dag_is_parsed(uri, sentence):
    with pytest.raises(
        ValueError, match="A segment's asset is moengage://<workspace id>/segments/<segment id>"
    ) as caught:
        sanitized(uri)
    assert sentence in str(caught.value)
    # Airflow 2 tells it as a warning, unless [core] strict_dataset_uri_validation is set.
    with (
        pytest.warns(UserWarning, match="AIP-60")
        if BEFORE_ASSETS
        else pytest.raises(ValueError, match="A segment's asset") as refused
    ):
        Asset(uri=uri)
    assert sentence in str(refused[0].message if BEFORE_ASSETS else refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "moengage://WS:a-data-api-key@/?data_center=01",
        f"moengage://WS:a-data-api-key/segments/{UNKNOWN_ID}",
        f"moengage://a-data-api-key@WS/segments/{UNKNOWN_ID}",
    ],
)
def test_a_key_in_it_is_refused_and_not_shown(uri):
    with pytest.raises(ValueError, match="Credentials belong in the connection") as caught:
        sanitized(uri)
    assert "a-data-api-key" not in str(caught.value)


class TestCreateAsset:
    def test_two_spellings_are_one_asset(self):
        """On Airflow 3 the name counts, too, and it is the URI as it was written."""
        one, other = (
            create_asset(workspace_id="EXAMPLE_WS", segment_id=one) for one in (UNKNOWN_ID, UNKNOWN_ID.upper())
        )
        assert one == other
        assert one.uri == getattr(one, "name", URI) == URI

    def test_its_extra(self):
        assert create_asset(workspace_id="WS", segment_id=UNKNOWN_ID, extra={"owner": "us"}).extra == {"owner": "us"}

    @pytest.mark.parametrize(
        "ids",
        [
            {"workspace_id": "", "segment_id": UNKNOWN_ID},
            {"workspace_id": None, "segment_id": UNKNOWN_ID},
            {"workspace_id": "a b", "segment_id": UNKNOWN_ID},
            {"workspace_id": "WS", "segment_id": "no id"},
            {"workspace_id": "WS", "segment_id": None},
            {"workspace_id": "WS", "segment_id": f"x/../{UNKNOWN_ID}"},
        ],
    )
    def test_what_cannot_be_is_refused_on_every_airflow(self, ids):
        with pytest.raises(ValueError, match=r"workspace_id|24 hexadecimal"):
            create_asset(**ids)

    @settings(deadline=None)
    @given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters=" :"), min_size=1))
    def test_any_workspace_stays_itself(self, workspace_id):
        uri = create_asset(workspace_id=workspace_id, segment_id=UNKNOWN_ID).uri
        assert sanitized(uri) == uri
        other = create_asset(workspace_id=workspace_id + "x", segment_id=UNKNOWN_ID).uri
        assert other != uri
        assert uri.endswith(f"/segments/{UNKNOWN_ID}")


def test_openlineage_gets_a_dataset_of_the_workspace(monkeypatch):
    """With a stand-in for the class, which comes with the OpenLineage provider."""
    facet = "airflow.providers.common.compat.openlineage.facet"
    monkeypatch.setitem(sys.modules, facet, types.SimpleNamespace(Dataset=types.SimpleNamespace))
    dataset = convert_asset_to_openlineage(Asset(uri=URI), None)
    assert (dataset.namespace, dataset.name) == ("moengage://EXAMPLE_WS", f"segments/{UNKNOWN_ID}")


def test_airflow_finds_the_functions():
    found = {
        name: getattr(manager(), name.replace("asset", "dataset") if BEFORE_ASSETS else name)["moengage"]
        for name in ("asset_factories", "asset_to_openlineage_converters", "asset_uri_handlers")
    }
    assert list(found.values()) == [create_asset, convert_asset_to_openlineage, sanitize_uri]


def manager():
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
    except ImportError:  # before Airflow 3.2
        from airflow.providers_manager import ProvidersManager

        return ProvidersManager()
    return ProvidersManagerTaskRuntime()
