"""What people test their own DAGs with sees our calls, and can answer them: vcrpy, responses and requests-mock."""

from __future__ import annotations

import pytest
import requests_mock
import responses
import vcr
from vcr.errors import CannotOverwriteExistingCassetteException

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.client.errors import SegmentNotFoundError, ServerError
from airflow_provider_moengage.client.retry import NO_RETRIES
from tests.support import NOTHING

ADDRESS = "https://api-01.moengage.com"
LIST = f"{ADDRESS}/v3/custom-segments"
ARCHIVE = f"{ADDRESS}/v2/custom-segments/archive"
ARCHIVED = {"message": "Successfully archived the custom segment", "success": True, "cs_name": "camp"}
MISSING = {"title": "Entity Not Found", "description": "Custom segment not found"}


@pytest.fixture
def outside():
    """A client of the real address, which no test ever reaches."""
    with MoEngageClient("W", "K", data_center="01", retry=NO_RETRIES) as client:
        yield client


class TestVcrpy:
    def test_what_is_not_on_the_cassette_is_not_sent(self, sandbox, client, tmp_path):
        sandbox.add_segment(name="camp")
        with (
            vcr.use_cassette(str(tmp_path / "none.yaml"), record_mode="none"),
            pytest.raises(CannotOverwriteExistingCassetteException),
        ):
            client.archive_segment("camp")
        assert sandbox.requests == []
        assert [segment["archived"] for segment in sandbox.segments] == [False]

    def test_a_connection_that_is_kept_alive_is_not_used_past_it(self, sandbox, client, tmp_path):
        client.list_segments()
        with (
            vcr.use_cassette(str(tmp_path / "none.yaml"), record_mode="none"),
            pytest.raises(CannotOverwriteExistingCassetteException),
        ):
            client.archive_segment("camp")
        assert len(sandbox.requests) == 1

    def test_it_records_and_plays(self, sandbox, client, tmp_path):
        sandbox.add_segment(name="camp")
        cassette = str(tmp_path / "camp.yaml")
        with vcr.use_cassette(cassette, filter_headers=["authorization"]):
            recorded = [client.archive_segment("camp"), client.list_segments()]
        sent = len(sandbox.requests)
        with vcr.use_cassette(cassette, record_mode="none") as played:
            assert [client.archive_segment("camp"), client.list_segments()] == recorded
        assert played.play_count == 2
        assert len(sandbox.requests) == sent == 2

    def test_a_refusal_and_a_retry(self, sandbox, client, clock, tmp_path):
        cassette = str(tmp_path / "camp.yaml")
        sandbox.fail_next(status=503)
        for _ in range(2):
            with vcr.use_cassette(cassette), pytest.raises(SegmentNotFoundError):
                client.archive_segment("camp")
        assert [request.status for request in sandbox.requests] == [503, 404]


class TestResponses:
    @responses.activate
    def test_an_answer(self, outside):
        responses.get(LIST, json=NOTHING)
        responses.patch(ARCHIVE, json=ARCHIVED, status=202)
        assert outside.list_segments() == []
        assert outside.archive_segment("camp") == ARCHIVED
        assert len(responses.calls) == 2

    @responses.activate
    def test_refusals(self, outside):
        responses.get(LIST, status=503)
        responses.patch(ARCHIVE, json=MISSING, status=404)
        with pytest.raises(ServerError):
            outside.list_segments()
        with pytest.raises(SegmentNotFoundError):
            outside.archive_segment("camp")


class TestRequestsMock:
    def test_an_answer(self, outside):
        with requests_mock.Mocker() as mocker:
            mocker.get(LIST, json=NOTHING)
            mocker.patch(ARCHIVE, json=ARCHIVED, status_code=202)
            assert outside.list_segments() == []
            assert outside.archive_segment("camp") == ARCHIVED
            assert mocker.call_count == 2

    def test_refusals(self, outside):
        with requests_mock.Mocker() as mocker:
            mocker.get(LIST, status_code=503)
            mocker.patch(ARCHIVE, json=MISSING, status_code=404)
            with pytest.raises(ServerError):
                outside.list_segments()
            with pytest.raises(SegmentNotFoundError):
                outside.archive_segment("camp")
