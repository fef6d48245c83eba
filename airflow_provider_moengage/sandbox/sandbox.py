"""The sandbox: what people start, look into, and break on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_moengage.sandbox.api import Credentials, SegmentsApi
from airflow_provider_moengage.sandbox.clock import AdvancingClock, Clock, utc_now
from airflow_provider_moengage.sandbox.console import Console
from airflow_provider_moengage.sandbox.dialects import DIALECTS
from airflow_provider_moengage.sandbox.dispatch import SandboxDispatcher
from airflow_provider_moengage.sandbox.faults import Fault, FaultKind, FaultQueue
from airflow_provider_moengage.sandbox.file_segments import FileSegments
from airflow_provider_moengage.sandbox.journal import Journal, RecordedRequest
from airflow_provider_moengage.sandbox.limits import DOCUMENTED_LIMITS, RateLimits, ResetStyle
from airflow_provider_moengage.sandbox.server import Log, SandboxServer
from airflow_provider_moengage.sandbox.state import read_state, write_state
from airflow_provider_moengage.sandbox.workspace import Workspace

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_provider_moengage.sandbox.definition_rules import JsonObject
    from airflow_provider_moengage.sandbox.seeding import Age, SegmentKind

DialectName = Literal["seeds", "today"]

_ALL_ADDRESSES = ("", "0.0.0.0")  # noqa: S104 - these are recognised here, not listened at


class Sandbox:
    """
    A MoEngage workspace on localhost.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. It starts once; afterwards its journal and
    its segments can still be looked at.

    :param port: the port to listen at; 0 takes a free one.
    :param host: the IPv4 address or name to listen at.
    :param dialect: ``seeds`` answers as the documents of 2023 say, ``today`` as the servers now in service.
    :param workspace_id: the Basic username.
    :param api_key: the Basic password.
    :param app_key: the value of MOE-APPKEY; the workspace id by default.
    :param database_name: the value of MOE-DBNAME.
    :param rate_limits: whether the published rate limits apply; without them, no answer has their headers either.
    :param reset: what ``x-ratelimit-reset`` says: the moment when a window ends in ``epoch`` seconds, or the
        ``seconds`` that are left until then.
    :param archive_shows_id: whether archive and unarchive answer the segment's ``cs_id``, as some servers do.
    :param require_database_name: whether archive and unarchive insist on the header MOE-DBNAME, as is published.
    :param clock: tells the time, as an aware datetime; :meth:`move_clock` moves the sandbox ahead of it.
    :param log: gets one line a request, without line end; silent by default.
    :raises ValueError: when the dialect or the reset is unknown, or the clock's time has no zone.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        dialect: DialectName = "seeds",
        workspace_id: str = "SANDBOXWORKSPACE",
        api_key: str = "sandbox-data-api-key",
        app_key: str | None = None,
        database_name: str = "SandboxDB",
        rate_limits: bool = True,
        reset: ResetStyle = "epoch",
        archive_shows_id: bool = False,
        require_database_name: bool = False,
        clock: Clock = utc_now,
        log: Log | None = None,
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
        if reset not in get_args(ResetStyle):
            raise ValueError(f"reset must be one of {', '.join(get_args(ResetStyle))}, not {reset!r}")
        self._port = port
        self._host = host
        self._dialect = replace(
            DIALECTS[dialect], archive_shows_id=archive_shows_id, v2_needs_database_name=require_database_name
        )
        self._credentials = Credentials(workspace_id, api_key, app_key or workspace_id, database_name)
        self._clock = AdvancingClock(clock)
        self._log = log
        self._workspace = Workspace(self._clock)
        self._files = FileSegments(self._workspace, self._clock, database_name)
        self._limits = RateLimits(self._clock, DOCUMENTED_LIMITS if rate_limits else {}, reset=reset)
        self._journal = Journal()
        self._faults = FaultQueue()
        self._service = SandboxDispatcher(
            SegmentsApi(self._workspace, self._credentials, self._dialect, files=self._files, limits=self._limits),
            Console(
                self._dialect.name,
                workspace=self._workspace,
                files=self._files,
                limits=self._limits,
                faults=self._faults,
                journal=self._journal,
                clock=self._clock,
            ),
            journal=self._journal,
            faults=self._faults,
            clock=self._clock,
        )
        self._server: SandboxServer | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """
        Begin to answer.

        :raises RuntimeError: when it was started before.
        :raises OSError: when it cannot listen at its host and port.
        """
        if self._server is not None:
            raise RuntimeError("this sandbox was started before; make another one")
        self._server = SandboxServer((self._host, self._port), self._service, clock=self._clock, log=self._log)
        self._server.start()

    def stop(self) -> None:
        """Close all connections and end all threads; a sandbox that does not run stays as it is."""
        if self._server is not None and not self._stopped:
            self._stopped = True
            self._service.stop()
            self._files.stop()
            self._server.stop()

    @property
    def url(self) -> str:
        """
        The base URL for this machine, such as ``http://127.0.0.1:54321``.

        :raises RuntimeError: before the start, when there is none yet.
        """
        if self._server is None:
            raise RuntimeError("this sandbox is not started: use it in a with statement, or call start()")
        host = "127.0.0.1" if self._host in _ALL_ADDRESSES else self._host
        return f"http://{host}:{self._server.server_port}"

    @property
    def connection(self) -> JsonObject:
        """
        The Airflow connection to this sandbox: written as JSON, the value of an ``AIRFLOW_CONN_...`` variable.

        :raises RuntimeError: before the start.
        """
        extra = {}
        if self._credentials.app_key != self._credentials.workspace_id:
            extra["app_key"] = self._credentials.app_key
        if self._dialect.v2_needs_database_name:
            extra["database_name"] = self._credentials.database_name
        connection = {
            "conn_type": "moengage",
            "login": self._credentials.workspace_id,
            "password": self._credentials.api_key,
            "host": self.url,
        }
        # Airflow masks an extra as a whole: of an empty one it warns each task that it is too short to be masked.
        return {**connection, "extra": extra} if extra else connection

    @property
    def api_secret_set(self) -> bool:
        """Whether the workspace has an API key; set it to False to see what v3 then answers (409)."""
        return self._credentials.api_secret_set

    @api_secret_set.setter
    def api_secret_set(self, value: bool) -> None:
        self._credentials.api_secret_set = value

    @property
    def drops_forbidden_names(self) -> bool:
        """
        Whether a segment with a forbidden name, such as ``Sale: Pune``, is dropped without an error.

        MoEngage's guide says that this can happen. By default the sandbox refuses such a name (400), as the API's own
        document does for a blank one and for HTML characters.
        """
        return self._workspace.drops_forbidden_names

    @drops_forbidden_names.setter
    def drops_forbidden_names(self, value: bool) -> None:
        self._workspace.drops_forbidden_names = value

    @property
    def segments(self) -> list[JsonObject]:
        """
        Copies of all segments, the oldest first, those included that the API no longer shows.

        Each has ``name``, ``id``, ``created_time``, ``updated_time``, ``type``, ``source``, ``description``,
        ``updated_by``, ``archived`` and ``archived_time``; a filter segment has ``included_filters``, and a file
        segment has ``user_count``, which is 0 once it was archived for more than 30 days.
        """
        return self._workspace.everything()

    @property
    def files(self) -> FileSegments:
        """
        What fetches the files of file segments, from this machine alone, and posts the callbacks.

        Its ``requests`` say what became of each; ``delay``, ``match_share``, ``max_bytes`` and ``max_users_a_day`` can
        be set; ``wait_until_idle()`` waits for the files that are due.
        """
        return self._files

    @property
    def requests(self) -> list[RecordedRequest]:
        """
        The journal: the requests to the API so far, in the order of their answers, the last 10,000 of them.

        What the page and the control endpoints are asked is not among them.
        """
        return self._journal.requests()

    @property
    def unknown_requests(self) -> list[RecordedRequest]:
        """The first 100 requests that called what the sandbox does not know."""
        return self._journal.unknown()

    @property
    def pending_faults(self) -> list[Fault]:
        """The faults that no request has met yet, in their order."""
        return self._faults.pending()

    @property
    def now(self) -> datetime:
        """What time it is in the sandbox, in UTC."""
        return self._clock()

    def move_clock(self, duration: timedelta) -> None:
        """
        Let time pass, so that segments age and rate limits open again.

        A client that compares ``x-ratelimit-reset`` with a clock of its own sees it as far ahead.

        :param duration: how much, in all at most a century.
        :raises ValueError: when it is negative or too much.
        """
        self._clock.move(duration)

    def add_segment(
        self,
        /,
        *,
        name: str,
        age: Age | None = None,
        created_time: datetime | None = None,
        kind: SegmentKind = "filter",
        source: str = "API",
        archived: bool = False,
        included_filters: JsonObject | None = None,
        user_count: int | None = None,
        more: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> JsonObject:
        """
        Put a segment into the workspace without a request, past the limits and the duplicate check.

        :param name: its name.
        :param age: how long ago it was created: a timedelta, a number of days, or a duration of ISO 8601 such as
            ``P90D``; not together with ``created_time``.
        :param created_time: when it was created; now, when neither is given. Without a zone it is in UTC.
        :param kind: ``filter`` or ``file``.
        :param source: where it comes from. ``API``, ``DASHBOARD``, ``Segmentation``, ``CSV Upload``, ``Import Users``
            and ``Custom`` are people's own; any other makes it externally managed, and ``Cohort Sync``, ``Amplitude``,
            ``Mixpanel``, ``mParticle`` and ``Segment IO`` imported.
        :param archived: whether it is archived, since now or since the field ``archived_time``.
        :param included_filters: its filter group; one of its own by default.
        :param user_count: how many users a file segment has; 1,000 by default.
        :param more: fields that the API does not document, which every answer then shows.
        :param fields: ``id``, ``updated_time``, ``archived_time``, ``type``, ``description``, ``updated_by`` and
            ``excluded_filters``.
        :return: the segment, as in :attr:`segments`.
        :raises ValueError: when there is no such argument, the arguments contradict each other, or the name or id is
            taken.
        """
        return self._workspace.add(
            name,
            age=age,
            created_time=created_time,
            kind=kind,
            source=source,
            archived=archived,
            included_filters=included_filters,
            user_count=user_count,
            more=more,
            **fields,
        )

    def fail_next(
        self,
        times: int = 1,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | dict[str, Any] | list[Any] | None = None,
        delay: float = 0.0,
        fault: FaultKind | None = None,
        method: str | None = None,
        path: str | None = None,
        segment: str | None = None,
    ) -> None:
        """
        Let the next requests meet a fault. Several calls queue up.

        The faults:

        - ``silence`` reads the request and never answers, until the client gives up or the sandbox stops;
        - ``reset`` resets the connection before anything is carried out;
        - ``lost-answer`` carries the request out, then resets the connection;
        - ``half-body`` announces the true length, sends half of the body, and closes;
        - ``html`` answers 200, or ``status``, with an HTML page, as a proxy does;
        - ``empty`` answers 200, or ``status``, with an empty body; with ``status=403`` that is what the API firewall
          says to an address that is not allowed;
        - ``out-of-scope`` refuses the key with 403 and the header ``MOENGAGE-AUTH-ERROR-CODE: ER007``; ``headers``
          give another code, and ``body=""`` leaves the body out;
        - ``active-limit`` refuses with 429, as when 1,000 segments are active;
        - ``download-refused``, ``download-truncated``, ``file-too-large`` and ``file-error`` accept a call on a file
          segment, and let its file fail; ``download-slow`` fetches it a minute later, on the sandbox's clock; with
          ``callback-refused`` its callback does not get through;
        - ``fail-envelope`` answers 400, or ``status``, in the envelope ``{"status": "fail", "error": {...}}``.

        :param times: how many requests meet it, at most 10,000.
        :param status: the status to answer instead of carrying the request out.
        :param headers: headers to add to the answer.
        :param body: the body that goes with ``status``; the documented error by default.
        :param delay: how long to wait first, in seconds, at most a day.
        :param fault: one of the faults above.
        :param method: strike only requests of this HTTP method.
        :param path: strike only requests whose path, as it is on the wire, matches this glob.
        :param segment: strike only requests that name the segment with this name or id.
        :raises ValueError: when the arguments make no sense, alone or together.
        """
        wanted = Fault(
            status=status,
            headers={} if headers is None else headers,
            body=body,
            delay=delay,
            fault=fault,
            method=method,
            path=path,
            segment=segment,
        )
        self._faults.add(wanted, times)

    def clear_faults(self) -> None:
        """Forget the faults that no request has met yet."""
        self._faults.clear()

    def save_state(self, path: str | Path) -> None:
        """
        Write the segments and the time to a file; a file that is there stays whole until the new one is.

        :param path: the file.
        :raises OSError: when it cannot be written.
        """
        write_state(Path(path), ahead=self._clock.ahead, segments=self.segments)

    def load_state(self, path: str | Path) -> None:
        """
        Take the segments and the time from a file, in place of those that are there.

        :param path: a file that :meth:`save_state` has written.
        :raises OSError: when it cannot be read.
        :raises ValueError: when it is no such file; then nothing has changed.
        """
        state = read_state(Path(path))
        self._workspace.replace_all(state.segments)
        self._clock.move(max(timedelta(), state.ahead - self._clock.ahead))
