"""Where the file of an audience waits until MoEngage has fetched it: an object storage, by Airflow's own paths."""

from __future__ import annotations

import logging
import re
import secrets
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.file_inputs import check_url, is_signed
from airflow_provider_moengage.client.inputs import check_text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

# A part of a multipart upload.
_PIECE_BYTES = 5 << 20

# How each kind of storage is told to upload in small pieces, one after the other: by default they hold 50 MiB and more.
# That of Azure sends up to 64 MiB at once all the same.
_IN_PIECES: dict[str, dict[str, Any]] = {
    "s3": {"chunksize": _PIECE_BYTES, "max_concurrency": 1},
    "gs": {"chunksize": _PIECE_BYTES},
    "abfs": {"max_concurrency": 1},
}
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "adl": "abfs"}

_LOCAL = ("file", "local")

# What Azure and its other libraries call the same.
_MEANT_AS_ABFS = ("az", "wasb", "wasbs")
_HOST_OF_AZURE = ".core.windows.net"

# It would log the name of each file: whoever fetches what is staged has to know that. Airflow's own hook of Azure does
# the same to it.
_LOGGER_OF_AZURE = "azure.core.pipeline.policies.http_logging_policy"

_TO_SIGN = {
    "s3": "It needs credentials: name a connection in it, such as s3://aws_default@bucket/prefix.",
    "gs": "It needs a service-account key in its connection.",
    "abfs": (
        "It needs connection_string, or account_name and a whole account_key, in the extra of its connection; where "
        "the key is its password, account_name alone."
    ),
}

# What this package names a file: until when it is kept, what nobody can guess, and which of several it is.
_NAME = re.compile(r"(\d{8}T\d{6})Z-[0-9a-f]{32}-\d+\.csv")


class Staging:
    """
    A folder of an object storage that belongs to one task.

    :param uri: the ``staging`` of the operator, such as ``s3://aws_default@bucket/prefix``.
    :param public_url: the address at which the storage's files are served to all; nothing where it signs its own.
    :param folder: what the task's folder is called within it.
    :param url_seconds: for how long an address is to be good.
    :raises InvalidInputError: when it is no URI of a storage that can be used.
    """

    def __init__(self, uri: str, public_url: str | None, folder: str, url_seconds: int) -> None:
        self._public_url = check_url("public_url", public_url).rstrip("/") if public_url else None
        if is_signed(self._public_url or ""):
            raise InvalidInputError("public_url must be an address without a query or credentials.")
        self._folder_name = folder
        self.url_seconds = url_seconds
        """For how long an address is good."""
        above = path_of("staging", uri)
        self._folder = above / folder
        self._kind = _kind_of(self._folder.protocol)
        if self._kind in _LOCAL and not above.fs.isdir(above.path):
            raise InvalidInputError(
                f"There is no folder {above}, as far as this worker can see. Nothing was read or sent. Create it, or "
                "correct staging."
            )

    def new_name(self, number: int, token: str, kept_until: float) -> str:
        """
        Name a file.

        :param number: which of several.
        :param token: what nobody can guess; the files of one upload share it.
        :param kept_until: when it may be deleted, in epoch seconds.
        :return: the name.
        """
        until = datetime.fromtimestamp(kept_until, timezone.utc)
        return f"{until:%Y%m%dT%H%M%S}Z-{token}-{number}.csv"

    @staticmethod
    def new_token() -> str:
        """Make what nobody can guess."""
        return secrets.token_hex(16)

    def uri_of(self, name: str) -> str:
        """
        Tell where a file is, for people.

        :param name: its name.
        :return: its URI, with the id of its connection: another task can open it.
        """
        return str(self._folder / name)

    def upload(self, file: Path, name: str) -> None:
        """
        Upload a finished file. Until that is done there is nothing at its place.

        :param file: the file.
        :param name: its name in the storage.
        :raises OSError: when it did not come whole, without its name, which whoever fetches it has to know; and
            whatever the storage's library raises.
        """
        path, storage = self._folder / name, self._folder.fs
        if self._kind in _LOCAL:
            storage.makedirs(self._folder.path, exist_ok=True)
        storage.put_file(str(file), path.path, **_IN_PIECES.get(self._kind, {}))
        size, arrived = file.stat().st_size, storage.info(path.path)["size"]
        if arrived != size:
            raise OSError(f"{arrived:,} of the {size:,} bytes of a file were uploaded to {self._folder}.")

    def holds(self, names: list[str]) -> bool:
        """
        Tell whether files are there still.

        :param names: their names in the storage.
        :return: whether all of them are.
        """
        return all(self._folder.fs.exists((self._folder / name).path) for name in names)

    def sign(self, name: str) -> str:
        """
        Make the address at which MoEngage fetches a file, whether it is there or not.

        :param name: the file's name.
        :return: the address.
        :raises InvalidInputError: when the storage cannot sign one that MoEngage can use.
        """
        if self._public_url:
            return f"{self._public_url}/{quote(f'{self._folder_name}/{name}')}"
        try:
            url = self._folder.fs.sign((self._folder / name).path, expiration=self.url_seconds)
        except Exception as error:  # noqa: BLE001 - each storage's library raises its own
            hint = _TO_SIGN.get(
                self._kind, "Take another one; or set public_url, where its files are served by a web server."
            )
            raise InvalidInputError(
                f"The storage of staging ({self._folder.protocol}://) cannot sign an address for MoEngage "
                f"({type(error).__name__}). {hint}"
            ) from None
        signs = parse_qs(urlsplit(url).query)
        if not signs:
            # Without credentials S3's library gives the bare address.
            raise InvalidInputError(
                f"The storage of staging ({self._folder.protocol}://) does not sign. {_TO_SIGN.get(self._kind, '')}"
            )
        if self._kind == "s3" and "X-Amz-Signature" not in signs:
            raise InvalidInputError(
                "The storage of staging signs with version 2, which S3 refuses for newer buckets. Set region_name, or "
                '"config_kwargs": {"signature_version": "s3v4"}, in the extra of its connection.'
            )
        return str(url)

    def delete(self, names: list[str]) -> None:
        """
        Delete files; one that is gone is no mistake.

        :param names: their names.
        """
        for name in names:
            with suppress(FileNotFoundError):
                self._folder.fs.rm_file((self._folder / name).path)

    def expired(self, now: float) -> list[str]:
        """
        Find the files of this task whose addresses have expired.

        :param now: the time, in epoch seconds.
        :return: their names; those that this package did not name are never among them.
        """
        storage = self._folder.fs
        storage.invalidate_cache()
        try:
            there = storage.ls(self._folder.path, detail=False)
        except FileNotFoundError:
            return []
        names = [str(path).rstrip("/").rpartition("/")[2] for path in there]
        return [name for name in names if (match := _NAME.fullmatch(name)) and _moment(match[1]) < now]


def is_temporary(url: str) -> bool:
    """
    Tell whether what has signed an address is good for a while only, and the address no longer than that.

    :param url: the address.
    :return: whether it is.
    """
    return "X-Amz-Security-Token" in parse_qs(urlsplit(url).query)


def path_of(parameter: str, uri: str) -> ObjectStoragePath:
    """
    Make Airflow's path of a URI, and find out whether it can be used: Airflow itself only warns.

    :param parameter: how the caller named it.
    :param uri: the URI.
    :return: the path.
    :raises InvalidInputError: when it has no scheme, or one that no installed provider knows, names a connection that
        is not there or that lacks what the storage needs, or another machine's folder.
    """
    check_text(parameter, uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InvalidInputError(f"{parameter} is no URI of an object storage.") from None
    if not parts.scheme or "://" not in uri:
        raise InvalidInputError(
            f"{parameter} has no scheme: give the URI of an object storage, such as s3://aws_default@bucket/prefix, or "
            "of a folder on this machine, such as file:///tmp/audiences."
        )
    conn_id, _, host = parts.netloc.rpartition("@")
    if ":" in conn_id:
        raise InvalidInputError(
            f"{parameter} has credentials in it. Put them into an Airflow connection, and its id before the @."
        )
    if host and parts.scheme in _LOCAL:
        raise InvalidInputError(
            f"{parameter} has {host!r} where a file:// URI has the name of a machine. A path on this machine begins "
            "with a third slash, such as file:///tmp/audiences."
        )
    if host.endswith(_HOST_OF_AZURE):
        raise InvalidInputError(
            f"{parameter} is written as Azure does. Airflow has the id of its connection before the @, and the "
            "container after it: abfs://my_connection@container/prefix."
        )
    if conn_id:
        get_connection(parameter, conn_id)
    return _opened(parameter, uri, parts.scheme, is_connected=bool(conn_id))


def _opened(parameter: str, uri: str, scheme: str, *, is_connected: bool) -> ObjectStoragePath:
    """Make the path, and its storage's client with it: that is where a scheme and a connection show what they are."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    install = (
        "Install the one of the storage: for s3 apache-airflow-providers-amazon[s3fs], for gs "
        "apache-airflow-providers-google, for abfs apache-airflow-providers-microsoft-azure."
    )
    unknown = InvalidInputError(
        f"{parameter} has the scheme {scheme}, which no installed provider knows. "
        f"{'Write abfs for a storage of Azure.' if scheme in _MEANT_AS_ABFS else install}"
    )
    try:
        path = ObjectStoragePath(uri)
    except ValueError:
        raise unknown from None
    try:
        _ = path.fs
    except ImportError:
        raise unknown from None
    except ValueError as error:
        # Up to Airflow 3.1 the scheme is looked up here; anything else is what the storage's own library has to say.
        if "No filesystem registered" in str(error):
            raise unknown from None
        to_open = (
            _TO_SIGN.get(_kind_of(scheme), "") if is_connected else "Name one before an @: SCHEME://ID@BUCKET/PREFIX."
        )
        # Without its text, which may quote the connection.
        raise InvalidInputError(
            f"The storage of {parameter} ({scheme}://) cannot be opened with its connection ({type(error).__name__}). "
            f"Nothing was read or sent. {to_open}".rstrip()
        ) from None
    if _kind_of(scheme) == "abfs":
        logging.getLogger(_LOGGER_OF_AZURE).setLevel(logging.WARNING)
    return path


def get_connection(parameter: str, conn_id: str) -> Any:
    """
    Get a connection of Airflow.

    :param parameter: the parameter that names it.
    :param conn_id: its id.
    :return: the connection.
    :raises InvalidInputError: when Airflow does not know it.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise InvalidInputError(
            f"{parameter} names the connection {conn_id!r}, which Airflow does not know. Nothing was sent. Create it, "
            "or name another."
        ) from None


def _kind_of(scheme: str) -> str:
    return _SAME.get(scheme, scheme)


def _moment(text: str) -> float:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc).timestamp()
