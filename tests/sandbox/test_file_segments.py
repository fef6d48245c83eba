"""File segments: the four calls in both dialects, what becomes of the files, and the callbacks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.audience_file import read_audience
from airflow_provider_moengage.sandbox.loopback_http import DownloadError, fetch, post
from tests.file_server import FileServer, file_server
from tests.sandbox.calling import UNKNOWN_ID, Caller, MovableClock

if TYPE_CHECKING:
    import requests

PATH = "/v2/custom-segments/file-segment"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def files(spoken: Caller) -> Caller:
    """A caller whose sandbox fetches at once."""
    spoken.sandbox.files.delay = timedelta()
    return spoken


def fields(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "vip", "attribute_name": "ID", "attribute_type": "string", "file_url": url, **more}


def create(caller: Caller, url: str, **more: Any) -> requests.Response:
    return caller("POST", PATH, fields(url, **{"expiry_time": 30, **more}))


def change(caller: Caller, action: str, url: str, **more: Any) -> requests.Response:
    return caller("PUT", f"{PATH}/{action}", fields(url, **more))


def users(caller: Caller) -> int:
    assert caller.sandbox.files.wait_until_idle()
    (segment,) = caller.sandbox.segments
    return int(segment["user_count"])


def test_a_segment_is_made_empty_and_filled_later(spoken: Caller, server: FileServer, clock: MovableClock) -> None:
    url = server.put("ids.csv", "1\n2\n3\n")
    answer = create(spoken, url, callback_url=server.callback_url, emails=["a@b.c"])
    assert answer.status_code == 202
    (segment,) = spoken.sandbox.segments
    assert answer.json() == {
        "message": "File-segment creation request accepted",
        "success": True,
        "cs_name": "vip",
        "cs_id": segment["id"],
    }
    assert (segment["type"], segment["user_count"]) == ("FILE", 0)
    assert server.fetched == []
    assert server.callbacks.empty()

    clock.move(seconds=1)
    callback = server.callbacks.get(timeout=5)

    (request,) = spoken.sandbox.files.requests
    counts = {"values_found": 3, "values_processed": 3, "user_count": 3}
    assert callback == {
        "db_name": "SandboxDB",
        "segment_name": "vip",
        "request_id": request.request_id,
        "status": 201,
        **counts,
    }
    assert users(spoken) == 3


def test_add_remove_and_replace(files: Caller, server: FileServer) -> None:
    create(files, server.put("a.csv", "1\n2\n3"))
    assert users(files) == 3
    assert change(files, "add-users", server.put("b.csv", "3\n4\n")).json()["cs_name"] == "vip"
    assert users(files) == 4
    change(files, "add-users", server.put("b.csv", "3\n4\n"))
    assert users(files) == 4
    segment_id = files.sandbox.segments[0]["id"]
    answer = change(files, "remove-users", server.put("c.csv", "1\n4\n9\n"), name="another", cs_id=segment_id)
    assert (answer.status_code, answer.json()["cs_id"], answer.json()["cs_name"]) == (202, segment_id, "vip")
    assert users(files) == 2
    change(files, "replace", server.put("d.csv", "7\n"))
    assert users(files) == 1


def test_users_that_were_there_before_all_files(files: Caller, server: FileServer) -> None:
    files.sandbox.add_segment(name="vip", kind="file", user_count=10)
    change(files, "add-users", server.put("a.csv", "1\n2\n"))
    assert users(files) == 12
    change(files, "remove-users", server.put("b.csv", "2\n3\n"))
    assert users(files) == 10


def test_a_share_of_the_values_matches(files: Caller, server: FileServer) -> None:
    files.sandbox.files.match_share = 0.5
    create(files, server.put("a.csv", "".join(f"{number}\n" for number in range(100))))
    assert users(files) == 50
    assert files.sandbox.files.requests[-1].values_processed == 100


@pytest.mark.parametrize("missing", ["name", "attribute_name", "attribute_type", "file_url", "expiry_time"])
def test_what_is_missing(files: Caller, missing: str) -> None:
    answer = create(files, "http://127.0.0.1:1/x", **{missing: None})
    title = {"seeds": "Invalid Request", "today": "Invalid request"}[
        "seeds" if files.id_key == "segment_id" else "today"
    ]
    assert answer.status_code == 400
    assert answer.json() == {
        "title": title,
        "description": f"{missing} - Field is required but value is None : None",
    }
    assert files.sandbox.segments == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"attribute_type": "bool"},
        {"expiry_time": 0},
        {"expiry_time": "30"},
        {"emails": "a@b.c"},
        {"file_url": 7},
        {"callback_url": []},
        {"name": "a:b"},
    ],
)
def test_what_is_wrong(files: Caller, wrong: dict[str, Any]) -> None:
    assert create(files, "http://127.0.0.1:1/x", **wrong).status_code == 400
    assert files.sandbox.segments == []


def test_a_name_that_is_taken(files: Caller) -> None:
    files.sandbox.add_segment(name="vip", archived=True)
    answer = create(files, "http://127.0.0.1:1/x")
    assert answer.status_code == 409
    assert answer.json() == {"title": "Resource not created", "description": "Name already exists: vip"}


def test_segments_that_take_no_file(files: Caller) -> None:
    url = "http://127.0.0.1:1/x"
    assert change(files, "replace", url).status_code == 404
    assert change(files, "replace", url, cs_id=UNKNOWN_ID).status_code == 404
    files.sandbox.add_segment(name="vip")
    assert change(files, "replace", url).status_code == 400
    assert files.sandbox.files.requests == []


def test_a_workspace_that_is_full(files: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_moengage.sandbox.store.MAX_ACTIVE_SEGMENTS", 1)
    files.sandbox.add_segment(name="camp")
    answer = create(files, "http://127.0.0.1:1/x")
    assert (answer.status_code, answer.json()["actual_count"]) == (429, 2)


def test_all_four_share_ten_an_hour_and_a_hundred_a_day(files: Caller, clock: MovableClock) -> None:
    calls = [
        lambda: create(files, ""),
        *(lambda action=action: change(files, action, "") for action in ("add-users", "remove-users", "replace")),
    ]
    for number in range(100):
        if number % 10 == 0:
            clock.move(hours=1)
        assert calls[number % 4]().status_code == 400
    refused = calls[0]()
    assert refused.status_code == 429
    assert refused.json() == {
        "title": "Too Many Requests",
        "description": "File segment operations limit breached. Please retry after some time.",
    }
    clock.move(hours=1)
    assert refused.headers["x-ratelimit-limit"] == "100"
    assert calls[0]().status_code == 429
    clock.move(hours=14)
    assert calls[0]().status_code == 400


def test_it_is_archived_when_it_expires(files: Caller, server: FileServer, clock: MovableClock, tmp_path: Any) -> None:
    create(files, server.put("a.csv", "1\n"), expiry_time=2)
    assert users(files) == 1
    clock.move(days=2, seconds=-1)
    assert not files.sandbox.segments[0]["archived"]
    files.sandbox.save_state(tmp_path / "state")
    clock.move(seconds=1)
    (segment,) = files.sandbox.segments
    assert segment["archived"]
    assert segment["archived_time"] == segment["expiry_time"]
    assert files.unarchive("vip").ok
    clock.move(days=1)
    assert not files.sandbox.segments[0]["archived"]
    files.sandbox.load_state(tmp_path / "state")
    assert files.sandbox.segments[0]["archived"]


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("download-refused", "File download failed. Created custom_segment contains 0 users."),
            ("download-truncated", "File download failed. Created custom_segment contains 0 users."),
            ("file-too-large", "File size cannot be greater than 150MB. Created custom_segment contains 0 users."),
            ("file-error", "Internal Server Error. Contact MoEngage Team."),
        ],
    )
    def test_faults(self, files: Caller, server: FileServer, fault: Any, message: str) -> None:
        files.sandbox.fail_next(fault=fault)
        assert files.list().status_code == 200  # not what it strikes
        assert create(files, server.put("a.csv", "1\n2\n"), callback_url=server.callback_url).status_code == 202
        callback = server.callbacks.get(timeout=5)
        assert callback["error_message"] == message
        assert callback["status"] == (500 if fault == "file-error" else 400)
        assert "user_count" not in callback
        assert users(files) == 0
        assert files.sandbox.pending_faults == []

    def test_a_slow_download(self, files: Caller, server: FileServer, clock: MovableClock) -> None:
        files.sandbox.fail_next(fault="download-slow")
        create(files, server.put("a.csv", "1\n"))
        clock.move(seconds=59)
        assert users(files) == 0
        clock.move(seconds=1)
        assert users(files) == 1

    def test_a_callback_that_does_not_get_through(self, files: Caller, server: FileServer) -> None:
        files.sandbox.fail_next(fault="callback-refused")
        create(files, server.put("a.csv", "1\n"), callback_url=server.callback_url)
        assert users(files) == 1
        (request,) = files.sandbox.files.requests
        assert (request.status, request.callback_tries, request.callback_status) == (201, 3, None)
        assert server.callbacks.empty()

    def test_a_callback_is_posted_again(self, files: Caller, server: FileServer) -> None:
        server.callback_statuses = [503, 500, 200]
        create(files, server.put("a.csv", "1\n"), callback_url=server.callback_url)
        first, second, third = (server.callbacks.get(timeout=5) for _ in range(3))
        assert first == second == third

    def test_a_file_that_is_not_there_is_tried_again(self, files: Caller, server: FileServer) -> None:
        create(files, f"{server.url}/nothing", callback_url=server.callback_url)
        assert server.callbacks.get(timeout=5)["error_message"].startswith("File download failed.")
        assert server.fetched == ["/nothing"] * 3
        (request,) = files.sandbox.files.requests
        assert request.explanation == "the server of the file answered 404"

    def test_a_file_that_breaks_off(self, files: Caller, server: FileServer) -> None:
        server.cut_off = True
        create(files, server.put("a.csv", "1\n" * 1_000))
        assert users(files) == 0
        assert "broke off after 1,000 bytes" in files.sandbox.files.requests[-1].explanation

    def test_a_file_that_is_too_large(self, files: Caller, server: FileServer) -> None:
        files.sandbox.files.max_bytes = 5
        create(files, server.put("a.csv", "123456"))
        assert users(files) == 0
        assert files.sandbox.files.requests[-1].error_message.startswith("File size cannot")

    def test_more_users_than_a_day_allows(self, files: Caller, server: FileServer, clock: MovableClock) -> None:
        files.sandbox.files.max_users_a_day = 5
        create(files, server.put("a.csv", "1\n2\n3\n"))
        assert users(files) == 3
        change(files, "add-users", server.put("b.csv", "4\n5\n6\n"))
        assert users(files) == 3
        assert files.sandbox.files.requests[-1].explanation == (
            "3 users were uploaded within a day, and this file has 3 more"
        )
        clock.move(days=1)
        change(files, "add-users", server.put("b.csv", "4\n5\n6\n"))
        assert users(files) == 6


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a",
        "http://127.0.0.1.example.com/a",
        "http://10.0.0.1/a",
        "http://[::ffff:10.0.0.1]/a",
        "http://user@example.com:80/a",
        "https://127.0.0.1/a",
        "file:///etc/hostname",
        "http://[/a",
    ],
)
def test_nothing_but_this_machine_is_called(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("http.client.HTTPConnection.request", lambda *_, **__: pytest.fail("it was called"))
    for call in (lambda: fetch(url, 1_000), lambda: post(url, {})):
        with pytest.raises(DownloadError):
            call()


def test_a_redirect_is_not_followed(server: FileServer, files: Caller) -> None:
    create(files, f"{files.sandbox.url}/v3/custom-segments")
    assert users(files) == 0


def test_threads_end_with_the_sandbox(server: FileServer) -> None:
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        caller = Caller(sandbox, "segment_id")
        with caller.session:
            create(caller, server.put("a.csv", "1\n"))
        assert any(thread.name == "moengage-sandbox-files" for thread in set(threading.enumerate()) - before)
    assert not any(thread.name.startswith("moengage-sandbox") for thread in set(threading.enumerate()) - before)
    assert server.fetched == []


def test_the_page_shows_what_became_of_a_file(files: Caller, server: FileServer) -> None:
    files.sandbox.files.match_share = 0.5
    create(files, server.put("a.csv", "1\n2\n\n4\n5\n"))
    assert users(files) == 2
    page = files.session.get(files.sandbox.url, timeout=5).text
    assert "file, 2 users; create: 5 found, 4 processed, 2 matched" in page
    assert "File segments" in page
    assert "X-Amz-Signature" not in page
    shown = files.session.get(f"{files.sandbox.url}/_sandbox/files", timeout=5).json()
    assert [request["values_found"] for request in shown] == [5]
    assert "X-Amz-Signature" not in str(shown)


@pytest.mark.parametrize(
    ("content", "found", "processed", "matched", "problems"),
    [
        (b"", 0, 0, 0, {}),
        (b"1", 1, 1, 1, {}),
        (b"1\n2\n", 2, 2, 2, {}),
        (b"1\n\n2\n", 3, 2, 2, {"empty": 1}),
        (b"1\n  \n", 2, 1, 1, {"empty": 1}),
        (b"1\n1\n", 2, 2, 1, {"twice": 1}),
        (b"ID\n1\n", 2, 2, 1, {"a header": 1}),
        (b'"1"\n2\n', 2, 2, 1, {"quotes around the value": 1}),
        (b" 1\n2 \n3\r\n4\n", 4, 4, 1, {"blanks around the value": 3}),
        (b"1,\n2,x\n3\n", 3, 3, 1, {"a comma: the file must have one column": 2}),
        (b"\xff\xfe\n1\n", 2, 1, 1, {"not UTF-8": 1}),
        ("é\n".encode(), 1, 1, 1, {}),
    ],
)
def test_a_file_is_read_by_the_published_rules(
    content: bytes, found: int, processed: int, matched: int, problems: dict[str, int]
) -> None:
    file = read_audience(content, "ID", "string")
    assert (file.found, file.processed, len(file.values)) == (found, processed, matched)
    assert file.problems == problems


def test_numbers() -> None:
    file = read_audience(b"1\n2.5\nx\nnan\n-3e2\n", "Spent", "double")
    assert (file.found, file.processed, file.problems) == (5, 3, {"no number": 2})
