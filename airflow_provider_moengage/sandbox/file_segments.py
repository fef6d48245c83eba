"""What becomes of the files of file segments: fetched, read and counted after a while, and told to the callback."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_moengage.sandbox.audience_file import AudienceFile, read_audience
from airflow_provider_moengage.sandbox.clock import Clock, as_api_time, as_utc
from airflow_provider_moengage.sandbox.loopback_http import DownloadError, TooLargeError, fetch, post

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject
    from airflow_provider_moengage.sandbox.workspace import Workspace

MAX_FILE_BYTES = 150_000_000
MAX_USERS_A_DAY = 2_000_000
KEPT_REQUESTS = 1_000

FileAction = Literal["create", "add-users", "remove-users", "replace"]

DOWNLOAD_TRIES = 3
CALLBACK_TRIES = 3
SLOW = timedelta(minutes=1)
"""How much longer, on the sandbox's clock, a download takes that is slow."""

_PAUSE = 0.01  # seconds between tries, and between looks at the clock, which tests move
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class FileRequest:
    """
    A request on a file segment, from when it was accepted.

    :param request_id: what its callback calls it.
    :param action: ``create``, ``add-users``, ``remove-users`` or ``replace``.
    :param segment_id: id of the segment.
    :param segment_name: its name.
    :param accepted: when it was accepted.
    :param due: when the file is looked at.
    :param status: None while it waits, 201 when it is done, 400 or 500 when it has failed: that of the callback.
    :param values_found: how many rows the file has.
    :param values_processed: how many of them could be read.
    :param user_count: how many users they belong to.
    :param error_message: why it has failed, in MoEngage's words.
    :param explanation: what MoEngage does not say: why a download failed, what is wrong with how many rows.
    :param callback_tries: how often the callback was posted.
    :param callback_status: how its last one was answered; None when there was no answer.
    """

    request_id: str
    action: FileAction
    segment_id: str
    segment_name: str
    accepted: datetime
    due: datetime
    status: int | None = None
    values_found: int | None = None
    values_processed: int | None = None
    user_count: int | None = None
    error_message: str | None = None
    explanation: str = ""
    callback_tries: int = 0
    callback_status: int | None = None

    def shown(self) -> JsonObject:
        """
        Show it in values that JSON has.

        :return: its fields.
        """
        return {**vars(self), "accepted": as_api_time(self.accepted), "due": as_api_time(self.due)}


@dataclass(frozen=True)
class Order:
    """
    What a request on a file segment asks for.

    :param action: what is to be done with the users of the file.
    :param attribute_name: what the file has values of.
    :param attribute_type: how they are read.
    :param file_url: where it is.
    :param callback_url: where to say how it went, or None.
    :param is_local: whether the request came from this machine: for another one nothing is fetched here.
    :param fault: what goes wrong with it, or None.
    """

    action: FileAction
    attribute_name: str
    attribute_type: str
    file_url: str
    callback_url: str | None = None
    is_local: bool = True
    fault: str | None = None


class FileSegments:
    """
    Fills file segments: a thread of its own fetches and reads one file after the other.

    :param workspace: whose segments are filled.
    :param clock: tells the time.
    :param database_name: what callbacks call the workspace.
    """

    def __init__(self, workspace: Workspace, clock: Clock, database_name: str) -> None:
        self.delay = timedelta(seconds=1)
        """How long a file waits, on the sandbox's clock, until it is fetched."""
        self.match_share = 1.0
        """The share of values that belong to a user whom MoEngage knows, from 0 to 1."""
        self.max_bytes = MAX_FILE_BYTES
        """How large a file may be."""
        self.max_users_a_day = MAX_USERS_A_DAY
        """How many users may be uploaded within 24 hours."""
        self._workspace = workspace
        self._clock = clock
        self._database_name = database_name
        self._condition = threading.Condition()
        self._waiting: list[tuple[FileRequest, Order]] = []
        self._working = False
        self._requests: dict[str, FileRequest] = {}
        self._users: dict[str, set[int]] = {}
        self._uploaded: deque[tuple[datetime, int]] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def requests(self) -> list[FileRequest]:
        """The requests on file segments, the last 1,000, the oldest first."""
        with self._condition:
            return list(self._requests.values())

    def accept(self, order: Order, segment: JsonObject) -> FileRequest:
        """
        Take a file on.

        :param order: what is asked for.
        :param segment: the segment, as a list shows it.
        :return: the request, which waits.
        """
        now = as_utc(self._clock())
        due = now + self.delay + (SLOW if order.fault == "download-slow" else timedelta())
        request = FileRequest(secrets.token_hex(16), order.action, segment["id"], segment["name"], now, due)
        with self._condition:
            self._keep(request)
            self._waiting.append((request, order))
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._work, name="moengage-sandbox-files", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        self._workspace.record_file(request.segment_id, f"a file is read ({order.action})")
        return request

    def wait_until_idle(self, timeout: float = 10.0) -> bool:
        """
        Wait until no file that is due is left unread. Those that become due later are not waited for.

        :param timeout: seconds to wait at most.
        :return: whether none is left.
        """
        with self._condition:
            return self._condition.wait_for(lambda: not self._working and self._due() is None, timeout)

    def stop(self) -> None:
        """End the thread. Files that wait stay unread."""
        with self._condition:
            self._stopping.set()
            self._condition.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_STOP_SECONDS)

    def _work(self) -> None:
        while True:
            with self._condition:
                while (job := self._due()) is None:
                    if self._stopping.is_set():
                        return
                    # Without a file there is nothing to look at the clock for.
                    self._condition.wait(_PAUSE if self._waiting else None)
                if self._stopping.is_set():
                    return
                self._waiting.remove(job)
                self._working = True
            try:
                self._carry_out(*job)
            finally:
                with self._condition:
                    self._working = False
                    self._condition.notify_all()

    def _due(self) -> tuple[FileRequest, Order] | None:
        now = as_utc(self._clock())
        return next((job for job in self._waiting if job[0].due <= now), None)

    def _carry_out(self, request: FileRequest, order: Order) -> None:
        try:
            file = self._read(order)
            done = self._fill(request, order, file)
        except TooLargeError:
            done = _failed(request, "File size cannot be greater than 150MB.")
        except DownloadError as error:
            done = _failed(request, "File download failed.", str(error))
        except _NoRoomError as error:
            done = _failed(request, "The limit of users a day is breached.", str(error))
        except Exception as error:  # noqa: BLE001 - a server says no more than this, and goes on
            done = _failed(request, "Internal Server Error. Contact MoEngage Team.", type(error).__name__, status=500)
        self._workspace.record_file(request.segment_id, _in_words(done))
        with self._condition:
            self._keep(done)
        if order.callback_url is not None:
            self._call_back(done, order)

    def _read(self, order: Order) -> AudienceFile:
        if order.fault == "file-too-large":
            raise TooLargeError
        if order.fault == "file-error":
            raise RuntimeError(order.fault)
        content = self._repeat(lambda: self._fetch(order))
        return read_audience(content, order.attribute_name, order.attribute_type)

    def _fetch(self, order: Order) -> bytes:
        if order.fault == "download-refused":
            raise DownloadError("a fault that was asked for: the download is refused")
        if not order.is_local:
            raise DownloadError("nothing is fetched for another machine")
        content = fetch(order.file_url, self.max_bytes)
        if order.fault == "download-truncated":
            raise DownloadError(f"a fault that was asked for: the file broke off after {len(content) // 2:,} bytes")
        return content

    def _repeat(self, download: Callable[[], bytes]) -> bytes:
        """MoEngage tries a failed download again before it gives up."""
        tries = 1
        while True:
            try:
                return download()
            except DownloadError:
                if tries == DOWNLOAD_TRIES or self._stopping.wait(_PAUSE):
                    raise
            tries += 1

    def _fill(self, request: FileRequest, order: Order, file: AudienceFile) -> FileRequest:
        users = file.matching(self.match_share)
        if order.action != "remove-users":
            self._count_upload(file.processed)
        self._workspace.set_user_count(request.segment_id, lambda count: self._merged(request, order, users, count))
        problems = ", ".join(f"{count:,} {problem}" for problem, count in file.problems.most_common())
        return replace(
            request,
            status=201,
            values_found=file.found,
            values_processed=file.processed,
            user_count=len(users),
            explanation=f"rows with a problem: {problems}" if problems else "",
        )

    def _merged(self, request: FileRequest, order: Order, users: set[int], count: int) -> int:
        """Say how many users the segment has now; of those that came from no file only the number is known."""
        known = self._users.get(request.segment_id, set()) if count else set()
        unknown = max(0, count - len(known))
        if order.action in ("create", "replace"):
            known, unknown = users, 0
        elif order.action == "add-users":
            known = known | users
        else:
            unknown = max(0, unknown - len(users - known))
            known = known - users
        self._users[request.segment_id] = known
        return len(known) + unknown

    def _count_upload(self, users: int) -> None:
        now = as_utc(self._clock())
        while self._uploaded and self._uploaded[0][0] <= now - timedelta(days=1):
            self._uploaded.popleft()
        before = sum(count for _, count in self._uploaded)
        if before + users > self.max_users_a_day:
            raise _NoRoomError(f"{before:,} users were uploaded within a day, and this file has {users:,} more")
        self._uploaded.append((now, users))

    def _call_back(self, done: FileRequest, order: Order) -> None:
        payload: dict[str, Any] = {
            "db_name": self._database_name,
            "segment_name": done.segment_name,
            "request_id": done.request_id,
            "status": done.status,
        }
        if done.status == 201:
            payload |= {key: getattr(done, key) for key in ("values_found", "values_processed", "user_count")}
        else:
            payload["error_message"] = done.error_message
        for tries in range(1, CALLBACK_TRIES + 1):
            status = self._post(order, payload)
            with self._condition:
                self._keep(replace(done, callback_tries=tries, callback_status=status))
            if status == 200 or self._stopping.wait(_PAUSE):
                return

    def _post(self, order: Order, payload: dict[str, Any]) -> int | None:
        if order.fault == "callback-refused" or not order.is_local or order.callback_url is None:
            return None
        try:
            return post(order.callback_url, payload)
        except DownloadError:
            return None

    def _keep(self, request: FileRequest) -> None:
        self._requests[request.request_id] = request
        while len(self._requests) > KEPT_REQUESTS:
            del self._requests[next(iter(self._requests))]


class _NoRoomError(Exception):
    """More users than may be uploaded within a day."""


def _failed(request: FileRequest, message: str, explanation: str = "", *, status: int = 400) -> FileRequest:
    # Published of a create alone: what it has made stays empty.
    if request.action == "create" and status == 400:
        message += " Created custom_segment contains 0 users."
    return replace(request, status=status, error_message=message, explanation=explanation)


def _in_words(done: FileRequest) -> str:
    if done.status != 201:
        return f"{done.action}: {done.error_message}"
    return (
        f"{done.action}: {done.values_found:,} found, {done.values_processed:,} processed, {done.user_count:,} matched"
    )
