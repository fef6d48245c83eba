"""The page at ``/``: the segments, the last requests and the rate limits, for a person who watches a DAG run."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import http
import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from string import Template
from typing import TYPE_CHECKING

from airflow_provider_moengage.sandbox.http_messages import Answer

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.faults import Fault
    from airflow_provider_moengage.sandbox.journal import RecordedRequest
    from airflow_provider_moengage.sandbox.limits import Endpoint, Usage
    from airflow_provider_moengage.sandbox.segment import Segment
    from airflow_provider_moengage.sandbox.workspace import Overview

SHOWN_SEGMENTS = 200
SHOWN_REQUESTS = 30

_SHOWN_CHARACTERS = 160
_SHOWN_OF_EXPLANATION = 600
_LARGEST_BODY_READ = 64 * 1024
_ENDPOINT_NAMES: dict[Endpoint, str] = {
    "get": "Get by id",
    "list": "List",
    "create": "Create",
    "update": "Update",
    "archive": "Archive",
    "unarchive": "Unarchive",
    "file-segments": "File segments",
}


@dataclass(frozen=True)
class Snapshot:
    """
    What the page shows: a sandbox at one moment.

    :param url: where it is.
    :param dialect: how it speaks.
    :param now: what time it is there.
    :param ahead: how far its clock was moved.
    :param search: which segments are looked for; all when it is empty.
    :param workspace: its segments.
    :param requests: its last requests, the last first.
    :param faults: the faults that no request has met yet.
    :param usage: how much of each rate limit is used; empty when there are none.
    """

    url: str
    dialect: str
    now: datetime
    ahead: timedelta
    search: str
    workspace: Overview
    requests: Sequence[RecordedRequest]
    faults: Sequence[Fault]
    usage: Mapping[Endpoint, Sequence[Usage]]


def answer(snapshot: Snapshot) -> Answer:
    """Answer with the page."""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": _security_policy(),
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    # What UTF-8 cannot express, a lone surrogate in a name, becomes a character reference.
    return Answer(200, render(snapshot).encode("utf-8", "xmlcharrefreplace"), headers)


def render(snapshot: Snapshot) -> str:
    """Write the page."""
    return _template().substitute(
        facts=_facts(snapshot),
        alerts=_alerts(snapshot),
        search=html.escape(snapshot.search),
        segment_counts=_segment_counts(snapshot.workspace),
        segments=_segments(snapshot),
        requests=_requests(snapshot.requests),
        limits=_limits(snapshot),
    )


@functools.cache
def _template() -> Template:
    file = importlib.resources.files(__package__).joinpath("page_template.html")
    return Template(file.read_text(encoding="utf-8"))


@functools.cache
def _security_policy() -> str:
    # Nothing runs and nothing styles but what stands in the template itself, whatever a name contains.
    style, script = (_hash_of(tag) for tag in ("style", "script"))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash_of(tag: str) -> str:
    match = re.search(f"<{tag}>(.*?)</{tag}>", _template().template, re.DOTALL)
    content = match[1] if match else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _facts(snapshot: Snapshot) -> str:
    facts = f"{_text(snapshot.url)} &middot; dialect {_text(snapshot.dialect)} &middot; {_time(snapshot.now)} UTC"
    if snapshot.ahead:
        facts += f", {_text(_duration(snapshot.ahead))} ahead"
    return facts


def _alerts(snapshot: Snapshot) -> str:
    queued = Counter(_fault_in_words(fault) for fault in snapshot.faults)
    if not queued:
        return ""
    listed = "; ".join(f"{times} &times; {_text(words)}" for words, times in queued.items())
    return f'<p class="alert">Faults that wait for a request: {listed}</p>'


def _fault_in_words(fault: Fault) -> str:
    words = (
        fault.fault,
        f"status {fault.status}" if fault.status is not None else None,
        f"headers {', '.join(fault.headers)}" if fault.headers else None,
        f"after {fault.delay:g} s" if fault.delay else None,
        f"on {fault.method or 'any'} {fault.path or '*'}" if fault.method or fault.path else None,
        f"for {fault.segment}" if fault.segment else None,
    )
    return " ".join(filter(None, words))


def _segment_counts(workspace: Overview) -> str:
    counts = f"{workspace.active:,} active, {workspace.archived:,} archived"
    if workspace.gone:
        counts += f", {workspace.gone:,} no longer shown by the API"
    return counts


def _segments(snapshot: Snapshot) -> str:
    workspace = snapshot.workspace
    if not workspace.latest:
        return f'<p class="empty">{"None matches." if snapshot.search else "There is none yet."}</p>'
    rows = (_segment(segment, snapshot.now) for segment in workspace.latest)
    table = _table(("Name", "State", "Age"), rows, main=0)
    more = workspace.found - len(workspace.latest)
    return table + (f'<p class="empty">and {more:,} that changed earlier</p>' if more else "")


def _segment(segment: Segment, now: datetime) -> tuple[str, str, str]:
    kind = f"file, {segment.users_at(now):,} users" if segment.definition is None else "filter"
    if segment.externally_managed:
        kind += f", managed by {segment.source}"
    if segment.last_file:
        kind += f"; {segment.last_file}"
    # The link of a task leads to the anchor.
    name = (
        f'<bdi class="name" id="{segment.id.lower()}">{_text(segment.name)}</bdi>'
        f'<span class="note">{_text(kind)} &middot; {segment.id}</span>'
    )
    return name, _state(segment, now), f'<span class="number">{_duration(now - segment.created_time)}</span>'


def _state(segment: Segment, now: datetime) -> str:
    if segment.archived_time is None:
        return _badge("good", "active")
    if not segment.is_shown(now):
        return _badge("still", "gone")
    since = f'<span class="note number">for {_duration(now - segment.archived_time)}</span>'
    return _badge("warn", "archived") + since


def _requests(requests: Sequence[RecordedRequest]) -> str:
    if not requests:
        return '<p class="empty">There was none yet.</p>'
    return _table(("Time", "Request", "Answer"), map(_request, requests), main=1)


def _request(request: RecordedRequest) -> tuple[str, str, str]:
    target = request.path + (f"?{request.query}" if request.query else "")
    asked = f"<code>{_text(request.method or '?')} {_text(target)}</code>"
    if name := _name_in(request):
        asked += f'<bdi class="what">{_text(name)}</bdi>'
    if complaint := _complaint(request):
        asked += f'<bdi class="note">{_text(complaint)}</bdi>'
    if request.explanation:
        asked += f'<bdi class="note why">{_text(request.explanation, _SHOWN_OF_EXPLANATION)}</bdi>'
    return _time(request.time), asked, _status(request.status)


def _status(status: int | None) -> str:
    if status is None:
        return _badge("bad", "none")
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""
    kind = "good" if status < 300 else "warn" if status < 500 else "bad"
    return f'<span title="{_text(phrase)}">{_badge(kind, str(status))}</span>'


def _name_in(request: RecordedRequest) -> str:
    if len(request.body) > _LARGEST_BODY_READ:
        return ""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return ""
    name = body.get("name") if isinstance(body, dict) else None
    return name if isinstance(name, str) else ""


def _complaint(request: RecordedRequest) -> str:
    if request.status is None:
        return "no answer"
    if request.status < 400:
        return ""
    try:
        body = json.loads(request.answer)
        error = body.get("error", body)
        return f"{error.get('code') or error['title']}: {error.get('message') or error['description']}"
    except (ValueError, RecursionError, AttributeError, LookupError):
        return request.answer.decode(errors="replace")


def _limits(snapshot: Snapshot) -> str:
    if not snapshot.usage:
        return '<p class="empty">They are off.</p>'
    rows = ((_ENDPOINT_NAMES[name], *_gauges(usages)) for name, usages in snapshot.usage.items())
    return _table(("", "a minute", "an hour", "a day"), rows)


def _gauges(usages: Sequence[Usage]) -> list[str]:
    """Fill the columns of a minute, an hour and a day; there is no limit for each."""
    of_minutes = {usage.window.minutes: _gauge(usage) for usage in usages}
    return [of_minutes.get(minutes, "") for minutes in (1, 60, 1_440)]


def _gauge(usage: Usage) -> str:
    full = "" if usage.remaining else ' class="full"'
    used = min(usage.used, usage.window.limit)
    return (
        f'<span class="number">{used:,} <span class="dim">of {usage.window.limit:,}</span></span>'
        f'<progress{full} max="{usage.window.limit}" value="{used}"></progress>'
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, main: int | None = None) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "\n".join(f"<tr>{_cells(row, main)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cells(row: Sequence[str], main: int | None) -> str:
    # The main column takes the width that is left, and it alone breaks its lines.
    classes = (' class="main"' if position == main else "" for position in range(len(row)))
    return "".join(f"<td{name}>{cell}</td>" for name, cell in zip(classes, row, strict=True))


def _badge(kind: str, text: str) -> str:
    return f'<span class="badge {kind}">{_text(text)}</span>'


def _time(moment: datetime) -> str:
    return f"<time>{moment:%H:%M:%S}</time>"


def _duration(duration: timedelta) -> str:
    seconds = max(0, int(duration.total_seconds()))
    for unit, length in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count:,} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{seconds} s"


def _text(text: str, longest: int = _SHOWN_CHARACTERS) -> str:
    shown = text if len(text) <= longest else f"{text[:longest]}…"
    return html.escape(shown)
