"""
What can go wrong with a call to MoEngage, as types; refusals.py makes them from an answer.

The classes follow the sample errors of the three API documents (archive and unarchive, get by id, update by id).
None of them is an ``AirflowException``: a sensor with ``soft_fail`` turns those into "skipped", and a wrong key would
then look like a missing segment.
"""

from __future__ import annotations

from typing import Any, ClassVar

_SHOWN_CHARACTERS = 200
_MESSAGE_CHARACTERS = 1_000
_FACT_CHARACTERS = 200
_BODY_CHARACTERS = 10_000


class MoEngageError(Exception):
    """
    A call to MoEngage that did not succeed. ``str(error)`` is a sentence for the person on call.

    :param message: what went wrong: the server's own message where it sent one, at most 1,000 characters.
    :param status: the HTTP status, or None when there was no answer.
    :param code: the server's own error code (v3) or title (v2).
    :param response_id: what MoEngage's support asks for; v3 only.
    :param body: the answer as text, at most 10,000 characters.
    :param retry_after: seconds until another try makes sense, where the server said so.
    :param call: method and path of the request.
    :param tries: how often it was sent.
    """

    headline: ClassVar[str] = "MoEngage refused the request"
    """What happened, in words that need no documentation."""

    way_out: str = ""
    """What the reader can do about it. That of one error may say more than that of its class."""

    retryable: bool = False
    """Whether waiting can mend it: true of a rate limit, a failing server and the network, of nothing else."""

    is_outcome_unknown: bool = False
    """Whether what was asked for may have been carried out all the same."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        response_id: str | None = None,
        body: str | None = None,
        retry_after: float | None = None,
        call: str | None = None,
        tries: int = 1,
    ) -> None:
        self.message = _one_line(message)
        super().__init__(self.message)
        self.status = status
        self.code = code and _one_line(code, _FACT_CHARACTERS)
        self.response_id = response_id and _one_line(response_id, _FACT_CHARACTERS)
        self.body = body and body[:_BODY_CHARACTERS]
        self.retry_after = retry_after
        self.call = call and _one_line(call, _FACT_CHARACTERS)
        self.tries = tries

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle and copy call the class with the message alone, which is not what each class takes.
        return _made_again, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        answered = " ".join(str(part) for part in (self.status, self.code) if part)
        facts = [fact for fact in (answered, self.call) if fact]
        if self.response_id:
            facts.append(f"response_id {self.response_id}")
        if self.tries > 1:
            facts.append(f"{self.tries} tries")
        if self.retry_after is not None:
            facts.append(f"retry after {self.retry_after:.0f} s")
        where = f" [{'; '.join(facts)}]" if facts else ""
        end = "" if where or self.message.endswith((".", "!", "?")) else "."
        way_out = f"{end} {self.way_out}" if self.way_out else ""
        return f"{self.headline}: {self.message}{where}{way_out}"


class InvalidInputError(MoEngageError, ValueError):
    """A parameter or a connection that cannot work. Found before anything was sent."""

    def __str__(self) -> str:
        return self.message


class BadRequestError(MoEngageError):
    """400: the request is malformed, an id is no id, or a name is blank or has HTML characters."""

    headline = "MoEngage found the request malformed"
    way_out = (
        "Check what was sent: filters as the dashboard generates them, an id of 24 hexadecimal characters, a name with "
        "neither HTML nor only blanks. An archive is refused like this when the segment is externally managed."
    )


class AuthenticationError(MoEngageError):
    """401: MoEngage does not accept the credentials; the server's message says which part of them."""

    headline = "MoEngage refused the credentials"
    way_out = (
        "Check the connection's login (Workspace ID), password (Data API key), app_key and data center against "
        "the MoEngage dashboard: Settings > Account > APIs."
    )


class WorkspaceNotFoundError(AuthenticationError):
    """``Request Error``: no workspace has this MOE-APPKEY or MOE-DBNAME in this data center."""

    headline = "MoEngage does not know the workspace"


class ApiSecretNotSetError(AuthenticationError):
    """409 in the update document: nobody has generated a Data API key for the workspace yet."""

    headline = "The workspace has no Data API key yet"
    way_out = "Generate one in the MoEngage dashboard: Settings > Account > APIs > API keys > Data."


class KeyRefusedError(AuthenticationError):
    """4xx with the header MOENGAGE-AUTH-ERROR-CODE, which is then the ``code``: the key may not make this call."""

    headline = "MoEngage does not let this API key make the call"
    way_out = (
        "Look at the key in the MoEngage dashboard (Settings > Account > APIs): whether it is active and of this "
        "workspace, has the scope of the Segmentation API, and may be used from the address of this machine. "
        "MoEngage's support knows what the code means."
    )


class KeyScopeError(KeyRefusedError):
    """``ER007``: the key is right, but its scope does not have the group of the API that was called."""

    headline = "The API key lacks the scope of the Segmentation API"
    way_out = (
        "In the MoEngage dashboard (Settings > Account > APIs) give the key that scope, or put a key that has it into "
        "the connection's password."
    )


class AccountSuspendedError(AuthenticationError):
    """403: MoEngage has suspended the account, for a while or for good."""

    headline = "MoEngage has suspended the account"
    way_out = "Ask MoEngage's support."


class AccessRefusedError(AuthenticationError):
    """4xx without any of MoEngage's words: an API firewall that does not allow the address, or a proxy."""

    headline = "The request was refused before the Segments API saw it"
    way_out = (
        "The answer has none of MoEngage's words. Look at the API firewall in the MoEngage dashboard (Settings > "
        "Account > APIs): whether it allows the address from which this machine calls; then for a proxy in between."
    )


class ForbiddenOperationError(MoEngageError):
    """403: an update of a file, internal, imported or archived segment."""

    headline = "MoEngage does not allow this on this segment"
    way_out = "File, internal, imported and archived segments cannot be updated; unarchive an archived one first."


class SegmentNotFoundError(MoEngageError):
    """404: there is no segment of this name or id, or it was archived more than 180 days ago."""

    headline = "MoEngage did not find the segment"
    way_out = (
        "Check the name or id, letter by letter. A segment archived more than 180 days ago can no longer be found."
    )


class ConflictError(MoEngageError):
    """
    409: the segment collides with another one.

    ``existing_segment_name`` and ``existing_segment_id`` say which, as far as it is known.
    """

    headline = "The segment collides with another one"
    existing_segment_name: str | None = None
    existing_segment_id: str | None = None


class DuplicateNameError(ConflictError):
    """409: another segment, active or archived, has this name."""

    headline = "The name is taken"
    way_out = "Choose another: a name is never free again, not even when its segment is archived."


class DuplicateFiltersError(ConflictError):
    """409: another segment has the same filters."""

    headline = "Another segment already has these filters"
    way_out = "Use that segment, or other filters: MoEngage allows no two with the same."


class CircularReferenceError(MoEngageError):
    """412: the filters lead back to the segment itself."""

    headline = "The segment would refer to itself"


class QueryLimitError(MoEngageError):
    """413: the definition is larger than MoEngage executes."""

    headline = "The segment's definition is too large"


class TooManyNestingLevelsError(QueryLimitError):
    """413: too many levels of nested or referenced segments."""


class TooManyReferencedSegmentsError(QueryLimitError):
    """413: too many custom segments in one definition."""


class QueryTooLongError(QueryLimitError):
    """413: too many filters in one definition."""


class RateLimitError(MoEngageError):
    """429: too many requests in this minute, hour or day. ``retry_after`` says when there is room again."""

    headline = "MoEngage's rate limit is used up"
    way_out = "Try again later; an operator with deferrable=True waits without holding a worker."
    retryable = True


class ActiveSegmentLimitError(MoEngageError):
    """
    429: the workspace is full (1,000 active segments). No waiting mends it, archiving does.

    ``actual_count`` and ``limit`` are the server's figures.
    """

    headline = "The workspace has as many active segments as it may have"
    way_out = "Archive segments that nobody needs."
    actual_count: int | None = None
    limit: int | None = None


class ServerError(MoEngageError):
    """5xx, and the 408, 421, 425 and 499 of a proxy: MoEngage, or a proxy before it, failed."""

    headline = "MoEngage failed to answer"
    way_out = "Try again later; if it persists, ask MoEngage's support."
    retryable = True
    is_outcome_unknown = True


class UnexpectedResponseError(MoEngageError):
    """An answer that is not MoEngage's: HTML from a proxy, an empty or cut-off body, a redirect."""

    headline = "The answer is not MoEngage's"
    way_out = "Try again; if it persists, look for what answers in MoEngage's place, such as a proxy."
    retryable = True
    is_outcome_unknown = True


class IncompleteResponseError(UnexpectedResponseError):
    """An answer of which only the beginning came. What was asked for may have been carried out."""

    headline = "The answer did not come whole"
    way_out = "Try again: to repeat an archive, unarchive or update does no harm."


class RedirectError(UnexpectedResponseError):
    """A redirect, which no API sends: the address is that of a website or of another API."""

    headline = "The host is not MoEngage's API"
    way_out = "Check the connection's host and data center."
    retryable = False
    is_outcome_unknown = False


class OtherSegmentError(MoEngageError):
    """An archive or unarchive that acted on another segment than the one that was meant."""

    headline = "MoEngage acted on another segment"
    way_out = (
        "Undo what was done to that segment. Where an id is given, give the name of the same segment with it: a newer "
        "server goes by the name."
    )


class CreateUnclearError(MoEngageError):
    """
    A create whose answer was lost, and a segment of that name that is not, or does not show that it is, the one sent.

    ``existing_segment_name`` and ``existing_segment_id`` say which was found.
    """

    headline = "Whether the segment was created is not clear"
    way_out = "Look at the segment in the MoEngage dashboard: a name is never free again."
    existing_segment_name: str | None = None
    existing_segment_id: str | None = None


class EndpointNotFoundError(MoEngageError):
    """404, but not MoEngage's own ``Entity Not Found``: there is no Segments API at this address."""

    headline = "There is no MoEngage API at this address"
    way_out = "Check the connection's host; to reach MoEngage itself, leave it empty and set data_center."


class ConnectionFailedError(MoEngageError):
    """No answer: the host is unknown or unreachable, the connection broke, or TLS failed."""

    headline = "MoEngage could not be reached"
    way_out = "Check the network, and the connection's host and data center."
    retryable = True
    is_outcome_unknown = True


class TlsError(ConnectionFailedError):
    """The server's certificate is not trusted, or the two could not agree on TLS. No waiting mends it."""

    headline = "There is no trusted connection to MoEngage"
    way_out = (
        "Certificates are always checked. Check the connection's host; behind a proxy with a certificate of its own, "
        "set the variable REQUESTS_CA_BUNDLE to the file with the proxy's CA."
    )
    retryable = False
    is_outcome_unknown = False


class PlainHttpError(TlsError):
    """The server at this address does not speak TLS."""

    headline = "The server at this address speaks plain http"
    way_out = "Check the connection's host; for the sandbox, begin it with http://."


class ProxyRefusedError(ConnectionFailedError):
    """The proxy of the environment refuses to connect, because of its password say. No waiting mends it."""

    headline = "The proxy refused to connect to MoEngage"
    way_out = "Check the proxy in the variable HTTPS_PROXY, or except MoEngage's host from it with NO_PROXY."
    retryable = False
    is_outcome_unknown = False


class ProxySettingsError(ConnectionFailedError):
    """The proxy of the environment cannot be used as it is set: no waiting mends it."""

    headline = "The proxy's settings cannot be used"
    way_out = "Correct the variable HTTPS_PROXY (or ALL_PROXY), or except MoEngage's host from it with NO_PROXY."
    retryable = False
    is_outcome_unknown = False


class NothingListensError(ConnectionFailedError):
    """The address is one of this very machine, and nothing listens there: most likely the sandbox is not running."""

    headline = "Nothing listens at this address of this machine"
    way_out = (
        "Is the sandbox running? Start it with moengage-sandbox (make airflow starts one beside an Airflow), and "
        "compare its port with that of the connection's host. In a container 127.0.0.1 is the container itself."
    )
    is_outcome_unknown = False


class RequestTimeoutError(ConnectionFailedError):
    """No answer within the connect or read timeout."""

    headline = "MoEngage did not answer in time"


def _made_again(kind: type[MoEngageError], args: tuple[Any, ...]) -> MoEngageError:
    return kind.__new__(kind, *args)


def shown(text: str) -> str:
    """
    Quote the beginning of an answer so that it fits a log line.

    :param text: any text.
    :return: its first 200 characters as a Python literal, or the words ``nothing (an empty body)``.
    """
    if not text:
        return "nothing (an empty body)"
    return repr(text[:_SHOWN_CHARACTERS]) + ("..." if len(text) > _SHOWN_CHARACTERS else "")


def _one_line(text: str, most: int = _MESSAGE_CHARACTERS) -> str:
    """Keep a server from writing lines of its own, or escape sequences, into a log."""
    cut = text if len(text) <= most else text[:most] + "..."
    return "".join(character if character.isprintable() else " " for character in cut)
