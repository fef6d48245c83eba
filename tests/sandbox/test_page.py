"""The page, as its bytes and as a browser shows it."""

from __future__ import annotations

import html
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_moengage.sandbox import RecordedRequest, Sandbox
from airflow_provider_moengage.sandbox.demo import demo_segments
from tests.browser import chromium, needs_a_browser
from tests.sandbox.calling import Caller, attribute, group, wait_until

if TYPE_CHECKING:
    import requests
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>\"' &amp; $facts \u202e \ud800 \x00"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page of the sandbox; at the end it must not have logged an error, of its script or of its policy."""
    complaints: list[str] = []
    contexts = []

    def open_page(sandbox: Sandbox, fragment: str = "", *, phone: bool = False) -> Page:
        width, height = (390, 844) if phone else (1200, 800)
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, is_mobile=phone))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"{sandbox.url}/{fragment}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Whoever stops the sandbox hears of that.
    assert [complaint for complaint in complaints if "net::ERR" not in complaint] == []


def text_of(answer: requests.Response) -> str:
    """What a person reads: the text without the tags."""
    body = answer.text.partition("<main>")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def watched_run(sandbox: Sandbox) -> None:
    """Leave a workspace and its journal as a DAG run does."""
    for fields in demo_segments():
        sandbox.add_segment(**fields)
    caller = Caller(sandbox, "segment_id")
    with caller.session:
        caller.list("?name=camp_diwali_2026")
        segment = sandbox.add_segment(name="camp_diwali_2026", source="DASHBOARD")
        caller.list("?name=camp_diwali_2026")
        sandbox.fail_next(status=503)
        for _ in range(2):
            caller.update(segment["id"], group(attribute()), updated_by="data-engineering@example.com")
        caller.archive("Black Friday 2025 buyers")
        caller.archive("Recommendation holdout")
        caller.archive("Summer sale 2024")
        caller.unarchive("Winter clearance 2026")
    sandbox.fail_next(2, status=429, method="PATCH", path="/v3/*")


def test_it_shows_segments_with_state_and_age(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring", age=timedelta(days=90))
    api.sandbox.add_segment(name="upload", age=timedelta(hours=30), kind="file", user_count=12_345)
    api.sandbox.add_segment(name="theirs", age=timedelta(hours=3), source="CAMPAIGN")
    api.archive("Spring")
    api.archive("upload")
    shown = text_of(api("GET", "/"))
    assert "1 active, 2 archived" in shown
    assert re.search(r"theirs filter, managed by CAMPAIGN · \w{24} active 3 h ", shown)
    assert "Age upload file, 12,345 users " in shown
    assert re.search(r"Spring filter · \w{24} archived for 0 s 90 days ", shown)

    api.sandbox.move_clock(timedelta(days=31))
    assert "upload file, 0 users" in text_of(api("GET", "/"))
    api.sandbox.move_clock(timedelta(days=150))
    shown = text_of(api("GET", "/"))
    assert "1 active, 0 archived, 2 no longer shown by the API" in shown
    assert re.search(r"Spring filter · \w{24} gone 271 days ", shown)
    assert "181 days ahead" in shown


def test_it_shows_the_last_requests_with_their_answers(api: Caller) -> None:
    for number in range(30):
        api.archive(f"segment {number}")
    api.sandbox.fail_next(status=502, body="<h1>Bad gateway</h1>")
    api.list("?name=a%20b")
    api.sandbox.fail_next(fault="reset")
    with pytest.raises(OSError, match=r"reset|aborted"):
        api.list()

    shown = text_of(api("GET", "/"))

    assert "12:00:00 GET /v3/custom-segments no answer none" in shown
    assert "12:00:00 GET /v3/custom-segments?name=a%20b <h1>Bad gateway</h1> 502" in shown
    assert (
        "12:00:00 PATCH /v2/custom-segments/archive segment 29 "
        "Entity Not Found: Custom segment not found for the given name or cs_id: segment 29 404" in shown
    )
    assert "segment 2 " in shown
    assert "segment 1 " not in shown


def test_it_shows_how_much_of_each_limit_is_used(api: Caller) -> None:
    for _ in range(52):
        api.list()
    api.get("x")
    api.archive(api.sandbox.add_segment(name="Diwali")["name"])
    shown = text_of(api("GET", "/"))
    assert "Get by id 1 of 100 1 of 1,000 1 of 4,000 List 50 of 50 50 of 200 50 of 1,000 Create 0 of 50" in shown
    assert "Archive 1 of 50 1 of 200 1 of 1,000 Unarchive 0 of 50 0 of 200 0 of 1,000" in shown
    with Sandbox(rate_limits=False) as unlimited:
        assert "They are off." in text_of(Caller(unlimited, "")("GET", "/"))


def test_it_shows_the_faults_to_come(api: Caller) -> None:
    api.sandbox.fail_next(2, status=503, headers={"Retry-After": "2"}, delay=1.5, method="GET")
    api.sandbox.fail_next(fault="silence", path="*/<b>")
    shown = text_of(api("GET", "/")).replace("\N{MULTIPLICATION SIGN}", "times")
    assert "2 times status 503 headers Retry-After after 1.5 s on GET *; 1 times silence on any */<b>" in shown


def test_it_is_no_part_of_the_api(api: Caller) -> None:
    api.sandbox.fail_next(status=503)
    page = api("GET", "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert api.sandbox.requests == []
    assert len(api.sandbox.pending_faults) == 1
    head = api("HEAD", "/")
    assert (head.status_code, head.content) == (200, b"")
    icon = api("GET", "/favicon.ico")  # a browser asks for it by itself
    assert (icon.status_code, icon.content) == (404, b"")
    assert api.sandbox.requests == []


def test_it_trusts_no_text_and_shows_no_key(api: Caller) -> None:
    api.sandbox.add_segment(name=HOSTILE, source=HOSTILE, more={"team": HOSTILE})
    api.archive(HOSTILE)
    api("GET", "/<script>alert(1)</script>?<b>")
    page = api("GET", "/").text
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "onerror=&#x27;" in page
    assert "sandbox-data-api-key" not in page
    assert "U0FOREJPWFdPUktTUEFDRTpzYW5kYm94LWRhdGEtYXBpLWtleQ" not in page


def test_its_policy_lets_nothing_in(api: Caller) -> None:
    policy = api("GET", "/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"(src|href)=\"(?!data:,|#)", api("GET", "/").text)


def test_each_segment_has_an_anchor_by_its_id(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring", id="63D8CEC0c085939e6c1ab727")
    assert api("GET", "/").text.count(f'id="{segment["id"].lower()}"') == 1


def test_it_stays_small_however_many_segments_there_are(api: Caller) -> None:
    for number in range(1_000):
        api.sandbox.add_segment(name=f"segment {number}", age=timedelta(seconds=number))
    api.sandbox.add_segment(name="x" * 100_000)
    page = api("GET", "/")
    assert "and 801 that changed earlier" in page.text
    assert "segment 198<" in page.text
    assert "segment 199<" not in page.text
    assert len(page.content) < 100_000


def names_shown(api: Caller, query: str = "") -> list[str]:
    return re.findall(r'class="name" id="\w+">([^<]*)<', api("GET", f"/{query}").text)


def test_what_changed_last_is_at_the_top(api: Caller) -> None:
    for number in range(3):
        api.sandbox.add_segment(name=f"segment {number}", age=timedelta(days=number + 1))
    api.sandbox.add_segment(name="old", age=400)
    api.sandbox.add_segment(name="archived yesterday", age=400, archived_time=api.sandbox.now - timedelta(hours=1))
    assert names_shown(api) == ["archived yesterday", "segment 0", "segment 1", "segment 2", "old"]
    api.archive("old")
    api.archive("segment 2")
    api.unarchive("old")
    assert names_shown(api)[:3] == ["old", "segment 2", "archived yesterday"]


def test_segments_can_be_searched_for(api: Caller) -> None:
    for number in range(300):
        api.sandbox.add_segment(name=f"Segment {number}", archived=number == 7)
    wanted = api.sandbox.add_segment(name="<b>Straße", age=400)
    assert names_shown(api, "?search=STRASSE") == ["&lt;b&gt;Straße"]
    assert names_shown(api, f"?search={wanted['id'][:12]}") == ["&lt;b&gt;Straße"]
    assert names_shown(api, "?search=archived") == ["Segment 7"]
    assert len(names_shown(api, "?search=active")) == 200
    assert f'value="{"n" * 200}"' in api("GET", f"/?search={'n' * 200}").text
    page = api("GET", '/?search="><script>').text
    assert "None matches." in page
    assert page.count("<script>") == 1


def test_a_refusal_says_what_the_api_does_not(api: Caller) -> None:
    api.sandbox._journal.add(
        RecordedRequest(
            method="POST",
            path="/v3/custom-segments",
            query="",
            headers={},
            body=b"",
            status=400,
            connection=1,
            time=api.sandbox.now,
            answer=b'{"error": {"code": "Invalid request", "message": "Wrong."}}',
            explanation="included_filters.filters[0].operator: equals is no operator of string.",
        )
    )
    assert (
        "Invalid request: Wrong. included_filters.filters[0].operator: equals is no operator of string. 400"
        in text_of(api("GET", "/"))
    )


@needs_a_browser
def test_a_browser_finds_what_is_typed(opened: Callable[..., Page]) -> None:
    with Sandbox() as sandbox:
        for number in range(300):
            sandbox.add_segment(name=f"segment {number:03}", age=number, archived=number == 299)
        page = opened(sandbox)
        shown = "[...document.querySelectorAll('.name')].map(name => name.innerText).join()"
        page.locator("#search").press_sequentially("segment 29")
        wait_until(lambda: page.evaluate(shown).count("segment") == 10)
        sandbox.add_segment(name="segment 29 is new")
        wait_until(lambda: page.evaluate(shown).startswith("segment 29 is new"))
        assert page.evaluate("document.activeElement.value") == "segment 29"
        page.locator("#search").fill("archived")
        wait_until(lambda: page.evaluate(shown) == "segment 299")


@needs_a_browser
def test_a_browser_shows_it_and_keeps_it_fresh(opened: Callable[..., Page]) -> None:
    with Sandbox() as sandbox:
        watched_run(sandbox)
        page = opened(sandbox)
        assert "camp_diwali_2026" in page.evaluate("document.body.innerText")
        assert page.evaluate("getComputedStyle(document.querySelector('section')).borderRadius") == "8px"

        sandbox.add_segment(name="just now")
        wait_until(lambda: "just now" in page.evaluate("document.body.innerText"))
        assert page.evaluate("document.querySelectorAll('main').length") == 1
        port = int(sandbox.url.rpartition(":")[2])

    wait_until(lambda: page.evaluate("document.getElementById('lost').hidden") is False)
    assert "just now" in page.evaluate("document.body.innerText")
    with another_server(port) as asked:
        wait_until(asked.is_set)
        asked.clear()
        wait_until(asked.is_set)
    assert "just now" in page.evaluate("document.body.innerText")
    with Sandbox(port):
        wait_until(lambda: page.evaluate("document.getElementById('lost').hidden") is True)
        assert "There is none yet." in page.evaluate("document.body.innerText")


@contextmanager
def another_server(port: int) -> Iterator[threading.Event]:
    """Another program at the sandbox's port, which has a page of its own; the event tells that it was asked for it."""
    asked = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<p>something else</p>")
            asked.set()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


@needs_a_browser
def test_a_browser_keeps_what_a_person_selects(opened: Callable[..., Page]) -> None:
    with Sandbox() as sandbox:
        sandbox.add_segment(name="to be copied")
        page = opened(sandbox)
        page.evaluate("getSelection().selectAllChildren(document.querySelector('main h2')), 1")
        asked = "performance.getEntriesByType('resource').filter(entry => entry.initiatorType == 'fetch').length"
        before = page.evaluate(asked)
        wait_until(lambda: page.evaluate(asked) > before + 1)
        assert page.evaluate("getSelection().toString()")
        page.evaluate("getSelection().removeAllRanges(), 1")
        sandbox.add_segment(name="later")
        wait_until(lambda: "later" in page.evaluate("document.body.innerText"))


@needs_a_browser
def test_a_browser_marks_the_segment_that_a_link_leads_to(opened: Callable[..., Page]) -> None:
    with Sandbox() as sandbox:
        ids = [sandbox.add_segment(name=f"segment {number}", id=f"{number:024X}")["id"] for number in range(100)]
        page = opened(sandbox, f"#{ids[3].lower()}")
        marked = "[...document.querySelectorAll('.linked .name')].map(name => name.innerText).join()"
        assert page.evaluate(marked) == "segment 3"
        top = "document.querySelector('.linked').getBoundingClientRect().top"
        assert 0 <= page.evaluate(top) < 800
        sandbox.add_segment(name="just now")
        wait_until(lambda: "just now" in page.evaluate("document.body.innerText"))
        assert page.evaluate(marked) == "segment 3"
        page.evaluate(f"location.hash = '{ids[50].lower()}', 1")
        wait_until(lambda: page.evaluate(marked) == "segment 50")


@needs_a_browser
def test_a_browser_runs_nothing_that_a_name_contains(opened: Callable[..., Page]) -> None:
    with Sandbox() as sandbox:
        sandbox.add_segment(name=HOSTILE)
        page = opened(sandbox)
        sandbox.add_segment(name="later")
        wait_until(lambda: "later" in page.evaluate("document.body.innerText"))
        assert page.evaluate("typeof window.owned") == "undefined"
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert "<script>window.owned = 1</script><img" in page.evaluate("document.body.innerText")


@needs_a_browser
@pytest.mark.parametrize("phone", [False, True])
def test_nothing_sticks_out_of_the_window(opened: Callable[..., Page], phone: bool, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        watched_run(sandbox)
        sandbox.add_segment(name="x" * 300, source="y" * 300)
        Caller(sandbox, "")("GET", "/" + "z" * 300)
        page = opened(sandbox, phone=phone)
        assert page.evaluate("innerWidth") == (390 if phone else 1200)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        overflowing = "[...document.querySelectorAll('section')].filter(s => s.scrollWidth > s.clientWidth).length"
        assert page.evaluate(overflowing) == 0
        assert float(page.evaluate("getComputedStyle(document.body).fontSize").removesuffix("px")) >= 14
        page.screenshot(path=tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
