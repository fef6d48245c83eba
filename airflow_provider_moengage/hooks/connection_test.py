"""The connection test: what the Test button says, in words for the person who pressed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_moengage.client.errors import (
    AccessRefusedError,
    AccountSuspendedError,
    ApiSecretNotSetError,
    AuthenticationError,
    ConnectionFailedError,
    KeyRefusedError,
    MoEngageError,
    RateLimitError,
    ServerError,
    WorkspaceNotFoundError,
)
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient

# A well-formed id that no segment has: looking for it proves the credentials and costs one of 4,000 gets a day.
_NO_SEGMENT = "0" * 24

# A person waits for the answer, and so does a worker of the api-server.
_LONGEST_CONNECT, _LONGEST_READ = 5.0, 10.0


def try_credentials(client: MoEngageClient) -> tuple[bool, str]:
    """
    Send one authenticated GET, even when the rate limit is known to be used up, and wait half a minute at most.

    :param client: a client that does not retry.
    :return: whether MoEngage accepts the credentials, and a sentence that says so or says what to do.
    """
    connect, read = client.timeout
    client.timeout = min(connect, _LONGEST_CONNECT), min(read, _LONGEST_READ)
    # Who has just mended the key must not hear of the limit alone: a refusal costs nothing, and proves the key.
    RATE_LIMITER.reset()
    try:
        client.get_segment(_NO_SEGMENT)
    except RateLimitError as error:
        # A proxy has limits too, but does not speak as MoEngage does, which counts what it has let in.
        if error.code and not str(error.code).isdigit():
            when = "soon" if error.retry_after is None else f"in {error.retry_after:.0f} s"
            return True, (
                f"MoEngage accepts the credentials at {client.base_url}, but its rate limit is used up just now. Tasks "
                f"can call it again {when}. {_said(error)}"
            )
        return False, (
            f"The credentials were not tried: {client.base_url} answers that there were too many requests, but not in "
            f"MoEngage's words, so that it may be a proxy. Try again later. {_said(error)}"
        )
    except MoEngageError as error:
        return False, _advice(client, error)
    return True, f"MoEngage accepts the credentials of workspace {client.workspace_id} at {client.base_url}."


# What was refused is not shown, not even the Workspace ID: people swap it with the key.
def _advice(client: MoEngageClient, error: MoEngageError) -> str:
    if isinstance(error, WorkspaceNotFoundError):
        return (
            f"There is no such workspace at {client.base_url}: the Workspace ID (or the app key, if there is one) is "
            "wrong, or the workspace is in another data center. The data center is the number in the address of your "
            f"MoEngage dashboard. {_said(error)}"
        )
    if isinstance(error, (ApiSecretNotSetError, KeyRefusedError, AccountSuspendedError)):
        return str(error)
    if isinstance(error, (ConnectionFailedError, AccessRefusedError)):
        return f"{error} This tells nothing about the credentials."
    if isinstance(error, AuthenticationError):
        return f"{_refused(error)} {_said(error)}"
    if isinstance(error, ServerError):
        return (
            f"{client.base_url} failed to answer, which tells nothing about the credentials. Try again later; if it "
            f"persists, ask MoEngage's support. {_said(error)}"
        )
    return str(error)


def _refused(error: AuthenticationError) -> str:
    where = "Settings > Account > APIs in the MoEngage dashboard"
    said = error.message.casefold()
    if "app_secret" in said:
        return f"The Data API key is wrong: the workspace has another. Copy it again from {where}, into the password."
    if "app_key" in said:
        return (
            f"The Workspace ID and the app key belong to two workspaces. Copy the Workspace ID again from {where}, and "
            "leave the app key empty unless the account is an old one."
        )
    return f"MoEngage refuses the Workspace ID or the Data API key. Copy both again from {where}."


def _said(error: MoEngageError) -> str:
    facts = [str(fact) for fact in (error.status, error.code, error.response_id) if fact]
    return f"(The answer: {error.message} [{'; '.join(facts)}])"
