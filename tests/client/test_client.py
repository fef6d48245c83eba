from __future__ import annotations

import base64
import copy
import gc
import gzip
import json
import pickle
import time
import types
from itertools import chain, repeat

import pytest
import requests

from airflow_provider_moengage.client import MoEngageClient, MoEngageError, errors
from airflow_provider_moengage.client.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    EndpointNotFoundError,
    InvalidInputError,
    NothingListensError,
    OtherSegmentError,
    PlainHttpError,
    ProxyRefusedError,
    RateLimitError,
    RedirectError,
    RequestTimeoutError,
    SegmentNotFoundError,
    ServerError,
    TlsError,
    UnexpectedResponseError,
)
from airflow_provider_moengage.client.retry import NO_RETRIES, RetryPolicy
from airflow_provider_moengage.sandbox import Sandbox
from tests.support import NOTHING, UNKNOWN_ID, client_of, filters, trickling_server

GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n"


class TestArchive:
    @pytest.mark.parametrize(("verb", "before"), [("archive", False), ("unarchive", True)])
    def test_by_name(self, sandbox, client, verb, before):
        sandbox.add_segment(name="camp a", archived=before)

        answer = getattr(client, f"{verb}_segment")("camp a")

        assert answer["message"] == f"Successfully {verb}d the custom segment"
        assert answer["cs_name"] == "camp a"
        assert [segment["archived"] for segment in sandbox.segments] == [not before]

    def test_the_id_wins_over_the_name(self):
        """As the documents say; that the answer has another name than the one sent is right then."""
        with Sandbox(dialect="seeds") as sandbox, client_of(sandbox) as client:
            meant = sandbox.add_segment(name="meant")
            sandbox.add_segment(name="named")
            assert client.archive_segment("named", meant["id"])["cs_name"] == "meant"
            archived = {segment["name"]: segment["archived"] for segment in sandbox.segments}
            assert archived == {"meant": True, "named": False}

    def test_an_id_and_its_own_name_mean_the_same_on_every_server(self, sandbox, client):
        meant = sandbox.add_segment(name="meant")
        assert client.archive_segment("meant", meant["id"].upper())["cs_name"] == "meant"
        assert sandbox.requests[-1].json == {"name": "meant", "segment_id": meant["id"].upper()}

    def test_an_unknown_segment(self, client):
        with pytest.raises(SegmentNotFoundError, match="not found for the given name or cs_id: nobody") as caught:
            client.archive_segment("nobody")
        assert caught.value.status == 404

    @pytest.mark.parametrize("name", ["camp ", "\tcamp"])
    def test_a_blank_too_many_is_seen(self, sandbox, client, name):
        sandbox.add_segment(name="camp")
        with pytest.raises(SegmentNotFoundError) as caught:
            client.archive_segment(name)
        assert f"Asked for was the name {name!r}. The name has a blank at its beginning or end." in str(caught.value)

    def test_a_name_in_the_place_of_an_id(self, sandbox, client):
        with pytest.raises(SegmentNotFoundError) as caught:
            client.update_segment("camp diwali", filters())
        assert "Asked for was the id 'camp diwali'. An id has 24 hexadecimal characters" in str(caught.value)
        with pytest.raises(BadRequestError, match="what stands here may be the segment's name"):
            client.get_segment("camp diwali")

    @pytest.mark.parametrize(
        ("given", "answer", "own", "is_meant"),
        [
            # A newer server knows the id under another key, and goes by the name.
            ({"name": "named", "segment_id": UNKNOWN_ID}, {"cs_name": "named", "cs_id": "f" * 24}, "x", False),
            ({"name": "named", "segment_id": UNKNOWN_ID}, {"cs_name": "other"}, "meant", False),
            ({"name": "named", "segment_id": UNKNOWN_ID}, {"cs_name": "other"}, None, False),
            ({"name": "named", "segment_id": UNKNOWN_ID}, {"cs_name": "meant"}, "meant", True),
            ({"name": "named", "segment_id": UNKNOWN_ID}, {"cs_name": "x", "cs_id": UNKNOWN_ID.upper()}, "y", True),
            ({"name": "named", "segment_id": UNKNOWN_ID}, {}, "meant", True),
            ({"name": "named", "segment_id": "no id"}, {"cs_name": "other"}, "meant", False),
            ({"name": "named"}, {"cs_name": "Named"}, "x", False),
            ({"name": "named "}, {"cs_name": "named"}, "x", True),
            ({"name": "cafe\u0301"}, {"cs_name": "caf\u00e9"}, "x", True),
            ({"name": "named"}, {"cs_name": None, "cs_id": "f" * 24}, "x", True),
        ],
    )
    @pytest.mark.parametrize("verb", ["archive", "unarchive"])
    def test_which_segment_an_answer_is_about(self, sandbox, client, verb, given, answer, own, is_meant):
        sandbox.fail_next(method="PATCH", status=200, body={"message": "done", "success": True, **answer})
        shown = [] if own is None else [{"id": UNKNOWN_ID, "name": own}]
        sandbox.fail_next(method="GET", status=200, body={**NOTHING, "data": shown})
        if is_meant:
            assert getattr(client, f"{verb}_segment")(**given)["success"]
        else:
            with pytest.raises(OtherSegmentError, match=f"asked to {verb} the segment .*it has answered for"):
                getattr(client, f"{verb}_segment")(**given)

    def test_a_server_that_takes_the_name_for_it(self):
        """A newer server does not know the key segment_id, and goes by the name."""
        with Sandbox(dialect="today") as sandbox, client_of(sandbox) as client:
            named, meant = (sandbox.add_segment(name=name)["id"] for name in ("named", "meant"))
            sandbox.fail_next(status=200, body={"message": "", "success": True, "cs_name": "named", "cs_id": named})
            with pytest.raises(OtherSegmentError, match=f"asked to archive the segment {meant}.*{named}"):
                client.archive_segment("named", meant)

    def test_a_refusal_with_200(self, sandbox, client):
        sandbox.fail_next(status=200, body={"message": "managed by a partner", "success": False, "cs_name": "camp"})
        with pytest.raises(MoEngageError, match="MoEngage refused the request: managed by a partner") as caught:
            client.archive_segment("camp")
        assert type(caught.value) is MoEngageError
        assert not caught.value.retryable
        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize("answer", [{}, {"success": None}, {"success": "true"}, {"error": {"code": "x"}}])
    def test_what_is_no_success(self, sandbox, client, answer):
        sandbox.fail_next(status=200, body={"message": "queued elsewhere", **answer})
        with pytest.raises(UnexpectedResponseError, match="does not say success: true.*queued elsewhere"):
            client.archive_segment("camp")


class TestGet:
    def test_gives_the_segment(self, sandbox, client):
        added = sandbox.add_segment(name="camp")
        segment = client.get_segment(added["id"])
        assert (segment["id"], segment["name"]) == (added["id"], "camp")
        assert {"created_time", "type", "source"} <= segment.keys()

    def test_gives_none_when_there_is_none(self, client):
        assert client.get_segment(UNKNOWN_ID) is None

    def test_a_malformed_id(self, client):
        with pytest.raises(BadRequestError):
            client.get_segment("no id")

    @pytest.mark.parametrize(
        ("segment_id", "path"),
        [
            ("../v2/x", "/v3/custom-segments/..%2Fv2%2Fx"),
            ("a/b?c", "/v3/custom-segments/a%2Fb%3Fc"),
            ("a#b", "/v3/custom-segments/a%23b"),
            ("%2e%2e", "/v3/custom-segments/%252e%252e"),
            ("a;b=c&d", "/v3/custom-segments/a%3Bb%3Dc%26d"),
            ("a\r\nHost: x", "/v3/custom-segments/a%0D%0AHost%3A%20x"),
            ("ü", "/v3/custom-segments/%C3%BC"),
        ],
    )
    def test_an_id_never_reaches_another_endpoint(self, sandbox, client, segment_id, path):
        with pytest.raises(BadRequestError):
            client.get_segment(segment_id)
        assert [request.path for request in sandbox.requests] == [path]

    @pytest.mark.parametrize("segment_id", [".", ".."])
    def test_an_id_that_means_another_place_is_not_sent(self, sandbox, client, segment_id):
        with pytest.raises(InvalidInputError, match="segment_id is"):
            client.get_segment(segment_id)
        assert sandbox.requests == []


class TestUpdate:
    def test_reaches_the_server_exactly_as_given(self, sandbox, client):
        segment_id = sandbox.add_segment(name="camp")["id"]
        given = {
            "zeta": 1,
            "filters": [{"z": None, "unknown": {"y": [1.50, "ü"], "b": 10**18}, **filters()["filters"][0]}],
            "filter_operator": "or",
            "alpha": False,
        }

        segment = client.update_segment(
            segment_id, given, name="camp 2", updated_by="a@b.c", excluded_filters=filters("Agra")
        )

        sent = sandbox.requests[-1].json
        assert json.dumps(sent["included_filters"]) == json.dumps(given)
        assert sent["name"] == "camp 2"
        assert sent["updated_by"] == "a@b.c"
        assert sent["excluded_filters"] == filters("Agra")
        assert segment["name"] == "camp 2"
        assert segment["included_filters"] == given

    def test_sends_only_what_is_given(self, sandbox, client):
        client.update_segment(sandbox.add_segment(name="camp")["id"], filters())
        assert sandbox.requests[-1].json == {"included_filters": filters()}

    def test_does_not_change_what_it_is_given(self, sandbox, client):
        given = filters()
        client.update_segment(sandbox.add_segment(name="camp")["id"], given)
        assert given == copy.deepcopy(filters())

    @pytest.mark.parametrize(
        ("included_filters", "sentence"),
        [
            (None, "included_filters must be a JSON object .* not nothing"),
            ("{}", "included_filters must be a JSON object .* JSON text needs json.loads"),
            ([], "included_filters must be a JSON object"),
            ({"filters": []}, 'included_filters needs the key "filter_operator"'),
            ({"filter_operator": "xor", "filters": []}, 'included_filters needs the key "filter_operator"'),
            ({"filter_operator": ["and"], "filters": []}, 'included_filters needs the key "filter_operator"'),
            ({"filter_operator": "and"}, 'included_filters needs the key "filters" with a list'),
            ({"filter_operator": "and", "filters": {}}, 'included_filters needs the key "filters" with a list'),
            (
                {"filter_operator": "and", "filters": [{"value": float("nan")}]},
                r"cannot be sent as JSON: included_filters.filters\[0\].value is NaN or infinite",
            ),
            (
                {"filter_operator": "and", "filters": [{}, {"value": {"a@b.c"}}]},
                r"cannot be sent as JSON: included_filters.filters\[1\].value is set of length 1\. Use strings",
            ),
            (
                {"filter_operator": "and", "filters": [{7: "a@b.c"}]},
                r"JSON: a key of included_filters.filters\[0\] is int, and must be text",
            ),
            ({"filter_operator": "and", "filters": [b"a@b.c"]}, r"filters\[0\] is bytes of length 5"),
        ],
    )
    def test_bad_filters_are_not_sent(self, sandbox, client, included_filters, sentence):
        with pytest.raises(InvalidInputError, match=sentence):
            client.update_segment(UNKNOWN_ID, included_filters)
        assert sandbox.requests == []

    def test_bad_excluded_filters_are_named(self, client):
        with pytest.raises(InvalidInputError, match="excluded_filters needs the key"):
            client.update_segment(UNKNOWN_ID, filters(), excluded_filters={})

    def test_the_segment_that_has_the_filters_is_named(self, sandbox, client):
        other = sandbox.add_segment(name="other", included_filters=filters())
        segment_id = sandbox.add_segment(name="camp")["id"]

        with pytest.raises(errors.DuplicateFiltersError) as caught:
            client.update_segment(segment_id, filters())

        assert caught.value.existing_segment_id == other["id"]
        assert caught.value.existing_segment_name == "other"


class TestList:
    def test_all(self, sandbox, client):
        for name in ("a", "b"):
            sandbox.add_segment(name=name)
        assert {segment["name"] for segment in client.list_segments()} == {"a", "b"}
        assert sandbox.requests[-1].query == ""

    @pytest.mark.parametrize(
        ("name", "query"),
        [
            ("camp & more", "name=camp%20%26%20more"),
            ("a+b", "name=a%2Bb"),
            ("50% off?", "name=50%25%20off%3F"),
            ("दिवाली", "name=%E0%A4%A6%E0%A4%BF%E0%A4%B5%E0%A4%BE%E0%A4%B2%E0%A5%80"),
        ],
    )
    def test_by_name(self, sandbox, client, name, query):
        sandbox.add_segment(name=name)
        sandbox.add_segment(name="another")
        assert [segment["name"] for segment in client.list_segments(name)] == [name]
        assert sandbox.requests[-1].query == query

    def test_a_name_is_compared_again(self, sandbox, client):
        """A server that matches loosely must not lead to the wrong segment."""
        similar = [{"name": name, "id": UNKNOWN_ID} for name in ("camp_10", "Camp_1", "camp_1 ")]
        sandbox.fail_next(status=200, body={"data": similar, "response_id": "x", "type": "custom_segment"})
        assert client.list_segments("camp_1") == []

    def test_a_name_of_any_length_that_servers_take(self, sandbox, client):
        assert client.list_segments("ü" * 2_600) == []
        with pytest.raises(InvalidInputError, match="16,224 characters, and no more than 16,000 are sent"):
            client.list_segments("ü" * 2_700)
        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize("name", ["", "  ", "\n", "\ud800", 7])
    def test_a_bad_name_is_not_sent(self, sandbox, client, name):
        with pytest.raises(InvalidInputError, match="^name "):
            client.list_segments(name)
        assert sandbox.requests == []


class TestFind:
    def test_by_either(self, sandbox, client):
        added = sandbox.add_segment(name="camp")
        assert client.find_segment(segment_id=added["id"])["name"] == "camp"
        assert client.find_segment(name="camp")["id"] == added["id"]
        assert client.find_segment(name="other") is None

    @pytest.mark.parametrize("given", [{}, {"segment_id": UNKNOWN_ID, "name": "camp"}])
    def test_needs_exactly_one(self, sandbox, client, given):
        with pytest.raises(InvalidInputError, match="exactly one of segment_id and name"):
            client.find_segment(**given)
        assert sandbox.requests == []


class TestHeaders:
    def test_every_call_says_who_and_what(self, sandbox, client):
        client.get_segment(UNKNOWN_ID)
        sent = sandbox.requests[-1].headers
        assert sent["content-type"] == "application/json"
        assert sent["moe-appkey"] == sandbox.connection["login"]
        assert "moe-dbname" not in sent
        assert sent["user-agent"].startswith("airflow-provider-moengage/")

    def test_the_database_name_goes_with_v2_only(self, sandbox):
        sandbox.add_segment(name="camp")
        with client_of(sandbox, database_name="SandboxDB") as client:
            client.archive_segment("camp")
            client.list_segments()
        assert [request.headers.get("moe-dbname") for request in sandbox.requests] == ["SandboxDB", None]

    def test_an_app_key_of_its_own(self):
        with Sandbox(app_key="OLDAPP") as sandbox, client_of(sandbox) as client:
            client.list_segments()
            assert sandbox.requests[-1].headers["moe-appkey"] == "OLDAPP"
            assert sandbox.requests[-1].status == 200

    def test_a_key_of_any_characters(self):
        with Sandbox(api_key="ключ:/?@€ 1") as sandbox, client_of(sandbox) as client:
            assert client.list_segments() == []

    def test_three_calls_take_one_connection(self, sandbox, client):
        for _ in range(3):
            client.get_segment(UNKNOWN_ID)
        assert {request.connection for request in sandbox.requests} == {1}

    @pytest.mark.parametrize("after", ["/", "/prefix", "/prefix/"])
    def test_a_base_url_may_have_a_path(self, sandbox, after):
        missing = EndpointNotFoundError if after.strip("/") else SegmentNotFoundError
        with client_of(sandbox, base_url=sandbox.url + after) as client, pytest.raises(missing):
            client.update_segment(UNKNOWN_ID, filters())
        assert sandbox.requests[-1].path == f"{after.rstrip('/')}/v3/custom-segments/{UNKNOWN_ID}"


class TestConstruction:
    def test_knows_the_data_centers(self):
        client = MoEngageClient("W", "K", data_center="101")
        assert client.base_url == "https://api-101.moengage.com"
        assert client.timeout == (5, 30)

    def test_shows_no_key(self):
        assert "topsecret" not in repr(MoEngageClient("W", "topsecret", data_center="01"))

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"workspace_id": ""}, "workspace_id is missing"),
            ({"workspace_id": "a:b"}, "workspace_id has a blank or a colon"),
            ({"workspace_id": "a "}, "workspace_id must be text in printable ASCII"),
            ({"api_key": "a "}, "api_key has blanks at its ends"),
            ({"api_key": " "}, "api_key is missing"),
            ({"api_key": None}, "api_key is missing"),
            ({"api_key": "a\nb"}, "api_key has control characters"),
            ({"api_key": "a" * 2_001}, "api_key has 2,001 characters"),
            ({"app_key": "a" * 2_001}, "app_key has 2,001 characters"),
            ({"data_center": None}, "set data_center"),
            ({"data_center": "07"}, r"no MoEngage data center '07'.*01 \(US\).*101"),
            ({"app_key": "a\r\nX: y"}, "app_key must be text in printable ASCII"),
            ({"database_name": "ü"}, "database_name must be text in printable ASCII"),
            ({"timeout": 30}, "timeout must be two numbers"),
            ({"timeout": (5,)}, "timeout must be two numbers"),
            ({"timeout": (0, 5)}, "connect timeout must be a positive"),
            ({"timeout": (5, float("inf"))}, "read timeout must be a positive"),
            ({"base_url": "http://api-01.moengage.com"}, "plain http to api-01.moengage.com"),
        ],
    )
    def test_what_cannot_work_is_said(self, arguments, sentence):
        with pytest.raises(InvalidInputError, match=sentence):
            MoEngageClient(**{"workspace_id": "W", "api_key": "K", "data_center": "01", **arguments})


class TestTrouble:
    @pytest.fixture
    def client(self, sandbox):
        with client_of(sandbox, retry=NO_RETRIES) as client:
            yield client

    def test_a_server_error(self, sandbox, client):
        sandbox.fail_next(status=503, headers={"Retry-After": "7"})
        with pytest.raises(ServerError) as caught:
            client.get_segment(UNKNOWN_ID)
        assert (caught.value.status, caught.value.retry_after, caught.value.retryable) == (503, 7, True)

    @pytest.mark.parametrize(
        ("fault", "shown"),
        [
            ("html", "no JSON object: '<"),
            ("empty", "nothing (an empty body)"),
            ("half-body", """ bytes: '{"data": ["""),
        ],
    )
    def test_an_answer_that_is_none(self, sandbox, client, fault, shown):
        sandbox.fail_next(fault=fault)
        with pytest.raises(UnexpectedResponseError) as caught:
            client.list_segments()
        assert shown in str(caught.value)
        assert "200" in str(caught.value)
        assert caught.value.status == 200

    @pytest.mark.parametrize(
        "kind_of_answer",
        [lambda text: text, lambda text: f"[{text}]", lambda text: text[:-40]],
        ids=["another segment", "a list", "broken off"],
    )
    def test_no_value_of_an_audience_is_shown(self, sandbox, client, kind_of_answer):
        """However the answer is wrong: the values of a definition stand in no error that a log may show."""
        definition = {"filter_operator": "and", "filters": [{"name": "Email", "value": ["a@b.example", 4711]}]}
        segment = {"included_filters": definition, "description": "a@b.example", "id": "another", "name": "camp"}
        text = json.dumps({"data": segment, "type": "custom_segment"})
        sandbox.fail_next(status=200, body=kind_of_answer(text))
        with pytest.raises(UnexpectedResponseError) as caught:
            client.get_segment(UNKNOWN_ID)
        held = f"{caught.value} {caught.value!r} {vars(caught.value)}"
        assert "a@b" not in held
        assert "4711" not in held
        assert "included_filters" in str(caught.value)

    @pytest.mark.parametrize("data", [None, "x", [1], [[]]])
    def test_data_of_another_kind(self, sandbox, client, data):
        for call in (client.list_segments, lambda: client.get_segment(UNKNOWN_ID)):
            sandbox.fail_next(status=200, body={"data": data, "type": "custom_segment"})
            with pytest.raises(UnexpectedResponseError, match="missing or malformed"):
                call()

    @pytest.mark.parametrize("data", [{}, {"id": "another"}, [{"id": "another", "name": "x"}]])
    def test_a_get_that_answers_with_another_segment(self, sandbox, client, data):
        sandbox.fail_next(status=200, body={"data": data, "type": "custom_segment"})
        with pytest.raises(UnexpectedResponseError, match=f"about another segment than {UNKNOWN_ID}"):
            client.get_segment(UNKNOWN_ID)

    def test_the_first_of_a_list_is_the_segment(self, sandbox, client):
        listed = [{"id": UNKNOWN_ID, "name": "first"}, {"id": "another", "name": "second"}]
        sandbox.fail_next(status=200, body={"data": listed, "type": "custom_segment"})
        assert client.get_segment(UNKNOWN_ID.upper())["name"] == "first"

    @pytest.mark.parametrize(
        "endless",
        [
            chain([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"], repeat(b" ")),
            chain([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], repeat(b"1\r\n \r\n")),
            chain([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"], repeat(b"a")),
            chain([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"], repeat(b"X: a\r\n")),
            chain([GZIPPED], repeat(gzip.compress(b""))),
            chain([b"HTTP/1.1 200 OK\r\nX: "], repeat(b"a")),
            chain([b"HTTP/1.1 "], repeat(b"2")),
            repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        ],
        ids=[
            "body",
            "chunks",
            "chunk extension",
            "trailers",
            "nothing in gzip",
            "header",
            "status line",
            "interim answers",
        ],
    )
    def test_an_answer_that_never_ends(self, endless):
        """A byte now and then keeps a read timeout from striking; the whole answer has a deadline of its own."""
        with trickling_server(endless) as url:
            client = MoEngageClient("W", "K", base_url=url, timeout=(5, 0.2), retry=NO_RETRIES)
            with pytest.raises(RequestTimeoutError, match="read timeout 0.2 s"):
                client.list_segments()

    def test_a_refusal_whose_body_never_ends(self):
        """It is read so that its connection can be used again, but not for ever, and then sent again on another."""
        refusal = chain([b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n"], repeat(b" "))
        with trickling_server(refusal) as url:
            client = MoEngageClient("W", "K", base_url=url, timeout=(5, 0.1), retry=RetryPolicy(tries=2))
            with pytest.raises(RequestTimeoutError) as caught:
                client.list_segments()
        assert caught.value.tries == 2

    @pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
    def test_an_interim_answer_is_not_the_answer(self, interim):
        """Else the real one would come next, and be taken for the answer to another request."""
        first = f"HTTP/1.1 {interim}\r\nLink: </x>\r\n\r\n".encode()
        last = json.dumps({"data": [{"name": "camp", "id": UNKNOWN_ID}]}).encode()
        with trickling_server(
            [first, first, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(last), last]
        ) as url:
            client = MoEngageClient("W", "K", base_url=url, timeout=(5, 5), retry=NO_RETRIES)
            assert [segment["id"] for segment in client.list_segments()] == [UNKNOWN_ID]

    def test_interim_answers_without_end(self):
        with trickling_server(repeat(b"HTTP/1.1 102 Processing\r\n\r\n")) as url:
            client = MoEngageClient("W", "K", base_url=url, timeout=(5, 0.2), retry=NO_RETRIES)
            with pytest.raises(RequestTimeoutError):
                client.list_segments()

    @pytest.mark.parametrize("status", [204, 302, 404, 500])
    def test_an_error_keeps_no_connection_open(self, sandbox, status):
        """What is raised must not hold the answer, whose connection would stay open and whose request has the key."""
        sandbox.fail_next(status=status)
        with client_of(sandbox, retry=NO_RETRIES) as client, pytest.raises(MoEngageError) as caught:
            client.list_segments()
        seen, stack = set(), [caught.value]
        while stack:
            for thing in gc.get_referents(stack.pop()):
                if id(thing) not in seen and not isinstance(thing, (type, types.ModuleType, types.FunctionType)):
                    seen.add(id(thing))
                    stack.append(thing)
                    assert not isinstance(thing, requests.Response)

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_a_body_that_comes_byte_by_byte(self, chunked, compressed):
        body = json.dumps({"data": [{"name": "camp", "id": UNKNOWN_ID}]}).encode()
        body = gzip.compress(body) if compressed else body
        pieces = [bytes([byte]) for byte in body]
        headers = b"Content-Encoding: gzip\r\n" if compressed else b""
        if chunked:
            pieces = [b"1\r\n" + piece + b"\r\n" for piece in pieces] + [b"0\r\n\r\n"]
            headers += b"Transfer-Encoding: chunked\r\n"
        else:
            headers += b"Content-Length: %d\r\n" % len(body)
        with trickling_server([b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n", *pieces]) as url:
            client = MoEngageClient("W", "K", base_url=url)
            assert [segment["id"] for segment in client.list_segments()] == [UNKNOWN_ID]

    def test_a_body_that_is_too_large(self, sandbox, client, monkeypatch):
        monkeypatch.setattr("airflow_provider_moengage.client.transport._LARGEST_ANSWER", 100_000)
        sandbox.fail_next(status=200, body="x" * 1_000_000)
        with pytest.raises(UnexpectedResponseError, match="it did not end after"):
            client.list_segments()

    def test_a_cut_off_error_is_still_that_error(self, sandbox, client):
        sandbox.fail_next(status=401, fault="half-body")
        with pytest.raises(AuthenticationError):
            client.list_segments()

    @pytest.mark.parametrize("status", [400, 403, 404, 409])
    def test_a_cut_off_refusal_is_not_taken_for_another(self, sandbox, client, status):
        """Half of a 404 does not say whether the segment or the whole API is missing: a later try can tell."""
        sandbox.fail_next(status=status, fault="half-body")
        with pytest.raises(UnexpectedResponseError, match="broke off") as caught:
            client.list_segments()
        assert (caught.value.status, caught.value.retryable) == (status, True)

    @pytest.mark.parametrize(
        "location", ["//[", "http://[::1", "https://elsewhere.example/?key=sandbox-data-api-key", ""]
    )
    def test_a_redirect_to_anywhere(self, sandbox, client, location):
        sandbox.fail_next(status=302, headers={"Location": location}, body="")
        with pytest.raises(RedirectError) as caught:
            client.list_segments()
        assert "sandbox-data-api-key" not in str(caught.value)

    def test_cookies_are_forgotten(self, sandbox, client):
        sandbox.fail_next(status=200, headers={"Set-Cookie": "tracking=1"}, body=NOTHING)
        client.list_segments()
        client.list_segments()
        assert "cookie" not in sandbox.requests[-1].headers

    def test_a_proxy_of_the_environment_does_not_see_loopback(self, sandbox, client, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert client.list_segments() == []

    def test_when_to_try_again_counts_from_now(self, sandbox, client):
        sandbox.fail_next(status=429, headers={"x-ratelimit-reset": str(int(time.time()) + 3_600)})
        with pytest.raises(RateLimitError) as caught:
            client.list_segments()
        assert 3_000 < caught.value.retry_after <= 3_601

    def test_a_byte_order_mark(self, sandbox, client):
        sandbox.fail_next(status=200, body=b"\xef\xbb\xbf" + json.dumps(NOTHING).encode())
        assert client.list_segments() == []

    def test_close_lets_go_of_the_connection(self, sandbox, client):
        client.list_segments()
        client.close()
        client.list_segments()
        assert [request.connection for request in sandbox.requests[-2:]] == [1, 2]

    def test_a_reset_connection(self, sandbox, client):
        sandbox.fail_next(fault="reset")
        with pytest.raises(ConnectionFailedError, match=sandbox.url):
            client.list_segments()

    def test_silence_ends_at_the_read_timeout(self, sandbox):
        sandbox.fail_next(fault="silence")
        with (
            client_of(sandbox, timeout=(5, 0.05), retry=NO_RETRIES) as client,
            pytest.raises(RequestTimeoutError, match=r"read timeout 0\.05 s"),
        ):
            client.list_segments()

    def test_a_ca_bundle_that_is_not_there(self, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
        with pytest.raises(TlsError, match="/nowhere/ca.pem"):
            MoEngageClient("W", "K", base_url="https://127.0.0.1:9").list_segments()

    def test_a_key_in_a_networks_words(self, sandbox, monkeypatch):
        def refuse(*_, **__):
            raise requests.ConnectionError("cannot connect with sandbox-data-api-key")

        with client_of(sandbox) as client:
            monkeypatch.setattr(client._session, "send", refuse)
            with pytest.raises(ConnectionFailedError, match=r"cannot connect with \*\*\*"):
                client.list_segments()

    @pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 Forbidden"])
    def test_a_proxy_that_refuses_is_asked_once(self, monkeypatch, clock, status):
        with trickling_server([b"HTTP/1.1 " + status + b"\r\n\r\n"]) as proxy:
            monkeypatch.setenv("https_proxy", proxy.replace("//", "//user:proxy-password@"))
            monkeypatch.delenv("no_proxy")
            with pytest.raises(ProxyRefusedError, match="Check the proxy") as caught:
                MoEngageClient("W", "K", base_url="https://moengage.invalid").list_segments()
        assert "proxy-password" not in str(caught.value)
        assert clock.slept == []

    def test_https_to_a_server_of_plain_http(self, sandbox, clock):
        with (
            client_of(sandbox, base_url=sandbox.url.replace("http", "https")) as client,
            pytest.raises(PlainHttpError, match="for the sandbox, begin it with http://") as caught,
        ):
            client.list_segments()
        assert not caught.value.retryable
        assert clock.slept == []

    def test_each_wait_is_said_once_and_in_plain_words(self, sandbox, caplog):
        sandbox.fail_next(fault="reset")
        with client_of(sandbox) as client:
            client.list_segments()
        said = "\n".join(record.getMessage() for record in caplog.records)
        assert said.count("the connection broke (") == said.count("It is sent again in") == 1
        assert "ConnectionResetError" not in said

    def test_nobody_listens(self):
        with Sandbox() as sandbox:
            client = client_of(sandbox)
        with pytest.raises(NothingListensError, match="refused.*Is the sandbox running.*moengage-sandbox") as caught:
            client.list_segments()
        assert caught.value.retryable  # it may be started yet

    @pytest.mark.parametrize("body", ["<html>nothing here</html>", {"type": "about:blank", "title": "Not Found"}])
    def test_a_404_that_is_not_the_apis_is_no_missing_segment(self, sandbox, client, body):
        sandbox.fail_next(status=404, body=body)
        with pytest.raises(EndpointNotFoundError, match="Check the connection's host"):
            client.get_segment(UNKNOWN_ID)

    def test_a_redirect_is_not_followed(self, sandbox, client):
        with Sandbox() as elsewhere:
            sandbox.fail_next(status=307, headers={"Location": f"{elsewhere.url}/v3/custom-segments"}, body="")
            with pytest.raises(RedirectError, match="redirects to") as caught:
                client.list_segments()
            assert elsewhere.requests == []
        assert not caught.value.retryable

    @pytest.mark.parametrize("key", ["plain-key-1", 'ab/cd+"ef', "ключ-é"])
    @pytest.mark.parametrize("status", [200, 302, 401, 502])
    def test_an_echoed_key_is_hidden(self, key, status):
        with Sandbox(api_key=key) as sandbox, client_of(sandbox, retry=NO_RETRIES) as client:
            basic = base64.b64encode(f"{sandbox.connection['login']}:{key}".encode()).decode()
            for text in (key, json.dumps(key)[1:-1], key.replace("/", r"\/"), basic):
                for body in (f"you sent {text}", f'{{"title": "x", "description": "{text}", "data": "{text}"}}'):
                    sandbox.fail_next(status=status, body=body)
                    with pytest.raises(MoEngageError) as caught:
                        client.list_segments()
                    held = str(caught.value) + repr(vars(caught.value)) + repr(caught.value.args)
                    assert text not in held
                    assert caught.value.__context__ is None

    def test_no_exception_of_requests_hangs_on(self, sandbox, client):
        sandbox.fail_next(fault="reset")
        with pytest.raises(ConnectionFailedError) as caught:
            client.list_segments()
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None

    def test_a_key_that_is_a_word_of_the_envelope(self):
        with Sandbox(api_key="title") as sandbox, client_of(sandbox) as client, pytest.raises(SegmentNotFoundError):
            client.archive_segment("nobody")

    def test_errors_survive_pickling(self, sandbox, client):
        with pytest.raises(SegmentNotFoundError) as caught:
            client.archive_segment("nobody")
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - made one line above
        assert str(again) == str(caught.value)
        assert again.status == 404
