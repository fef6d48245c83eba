"""What the transfers share: values become a file in an object storage, and the users of a segment."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_moengage.client.errors import DuplicateNameError, InvalidInputError, shown
from airflow_provider_moengage.operators.base import LEFT_OUT, LONGEST_DEFERRAL
from airflow_provider_moengage.operators.callbacks import mask_in_logs
from airflow_provider_moengage.operators.file_base import FileOperator
from airflow_provider_moengage.operators.one_segment import Target, find_by_name
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.audience_guards import USERS_A_DAY
from airflow_provider_moengage.segments.log_lines import count_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.segments.audience_checkpoint import AudienceCheckpoint, StagedAudience
    from airflow_provider_moengage.segments.audience_file import Piece
    from airflow_provider_moengage.segments.callbacks import Outcome
    from airflow_provider_moengage.transfers.staging import Staging


# What decides which values are sent, and where to.
_ASKED = ("source", "moengage_conn_id", "staging", "name", "attribute_name", "attribute_type", "mode")

# What the events of an outlet call it, as the operators for file segments do.
_ACTIONS = {"replace": "replace", "add": "add_users", "remove": "remove_users"}


class AudienceOperator(FileOperator):
    """
    What the transfers share: values become a file in an object storage, and the users of a segment.

    A subclass implements :meth:`check_source` and :meth:`read_values`.
    """

    # Of one execution.
    _staging: Staging
    _checkpoint: AudienceCheckpoint
    _facts: dict[str, Any]

    def __init__(
        self,
        *,
        staging: str,
        name: str,
        mode: Literal["replace", "add", "remove"] = "replace",
        expiry_days: int | str = LEFT_OUT,
        min_rows: int = 1,
        max_change: float | None = 0.5,
        max_users: int = USERS_A_DAY,
        url_expires_in: timedelta | int = timedelta(days=1),
        public_url: str | None = LEFT_OUT,
        keep_staged_file: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(file_url=LEFT_OUT, **kwargs)
        self.staging = self._take("staging", staging)
        self.name = self._take("name", name)
        self.expiry_days = self._take("expiry_days", expiry_days)
        self.public_url = self._take("public_url", public_url)
        self.mode = mode
        self.min_rows = min_rows
        self.max_change = max_change
        self.max_users = max_users
        self.url_expires_in = url_expires_in
        self.keep_staged_file = keep_staged_file
        # How many values the last run had that sent any.
        self._rows_before: int | None = None

    @abstractmethod
    def check_source(self) -> None:
        """
        Check what the values are to come from, before anything is read.

        :raises InvalidInputError: when it cannot be used.
        """

    @abstractmethod
    def read_values(self) -> Iterator[list[Any]]:
        """
        Read the values.

        :return: some of them at a time, never none.
        :raises InvalidInputError: when they are not to be had, or no single column.
        """

    @property
    def source(self) -> object:
        """What decides which values are read."""
        return None

    def call_api(self, context: Context) -> dict[str, Any]:
        """
        Stage the values, and make the calls.

        :param context: the task's context.
        :return: what was read, written, left out and sent; or what a dry run has found out.
        :raises MoEngageError: when it is not done.
        """
        from airflow_provider_moengage.assets.segments import attach_change
        from airflow_provider_moengage.segments.audience_guards import rows_before

        self._checkpoint = self._checkpoint_of(context)
        self._rows_before = rows_before(self._last_xcom(context), name=self.name, mode=self.mode)
        found = super().call_api(context)
        if self.is_dry_run:
            found = {**found, **self._as_xcom(found["segment_id"], None)}
        elif not found["calls"]:
            attach_change(self.outlets, context, {"action": "none", "name": self.name})
        if not found["calls"]:
            # What the next run is to be compared with is no number of a run that has sent nothing.
            found["last_rows_written"] = self._rows_before
        self._checkpoint.clear()
        return found

    def finish(self, context: Context, answer: dict[str, Any], outcomes: list[Outcome]) -> dict[str, Any]:
        """
        Delete the files: MoEngage has fetched them, unless it may hold a call twice and fetch its file once more.

        :param context: the task's context.
        :param answer: what the XCom was before the wait.
        :param outcomes: what the callbacks say.
        :return: the XCom.
        """
        repeated = [bool(call.get("repeated")) for call in answer["calls"]]

        def own_files() -> list[str]:
            self._open_staging()  # which it is not after a deferral
            files = zip(answer["staged_files"], repeated, strict=True)
            return [uri.rpartition("/")[2] for uri, is_repeated in files if not is_repeated]

        # First of all: a try that comes after this one must not look for files that are gone.
        self._checkpoint_of(context).clear()
        self._delete(own_files)
        if any(repeated) and not self.keep_staged_file:
            log_lines.warn(
                self.log,
                f"MoEngage may hold {count_of(sum(repeated), 'call')} twice: an answer was lost, or an earlier try "
                f"has made the same. {count_of(sum(repeated), 'staged file')} can still be fetched until the address "
                "has expired; the first run after that deletes what is left.",
            )
        found = sum(outcome.values_found or 0 for outcome in outcomes)
        if found != answer["rows_written"]:
            log_lines.warn(
                self.log,
                f"MoEngage has found {found:,} values in the files, and {answer['rows_written']:,} were written: the "
                "audience is not the whole one. Ask MoEngage's support with the request_id.",
            )
        return super().finish(context, answer, outcomes)

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Check everything that was given, and look the segment up. Nothing is read yet.

        :param client: the client of the connection.
        :return: the segment that is there; one without an id for one that is to be made.
        """
        from airflow_provider_moengage.client.file_inputs import check_expiry_days
        from airflow_provider_moengage.client.names import check_segment_name
        from airflow_provider_moengage.segments.audience_guards import check_options

        check_options(
            mode=self.mode,
            min_rows=self.min_rows,
            max_change=self.max_change,
            max_users=self.max_users,
            keep_staged_file=self.keep_staged_file,
            dry_run=self.is_dry_run,
        )
        check_segment_name("name", self.name)
        if self.expiry_days is not None:
            check_expiry_days(self.expiry_days)
        self._open_staging()
        self.check_file()
        self.check_source()
        found = client.find_segment(name=self.name) if self.mode == "replace" else find_by_name(client, self.name)
        if found is not None:
            self.refuse_filter_segment(found)
            self.warn_of_expiry(found, self.expiry_days)
            return Target(self.name, str(found.get("id")), found)
        if self.expiry_days is None:
            raise InvalidInputError(
                f"There is no segment {shown(self.name)} yet. To have it created, set expiry_days: after how many days "
                "MoEngage archives it. Nothing was read or sent."
            )
        self.refuse_outlets_of_new(self.name)
        return Target(self.name)

    def action_on(self, target: Target) -> str:
        """
        Say what is, or would be, done.

        :param target: the segment that is there, or one without an id.
        :return: ``create``, ``replace``, ``add_users`` or ``remove_users``.
        """
        return "create" if target.segment_id is None else _ACTIONS[self.mode]

    def changes_of(self, target: Target) -> list[str]:
        """
        Read the values, and say what a dry run would do with them.

        :param target: the segment.
        :return: a sentence.
        """
        with TemporaryDirectory(prefix="moengage-audience-") as folder:
            pieces, self._facts = self._read(Path(folder))
        rows, size = self._facts["rows_written"], self._facts["bytes"]
        return [
            f"{count_of(rows, 'value')} would be uploaded: {count_of(len(pieces), 'file')}, {count_of(size, 'byte')}."
        ]

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Stage the values, unless that is done, and make the calls that are left.

        :param client: the client of the connection.
        :param target: the segment that is there, or one without an id.
        :return: what was read, written, left out and sent.
        """
        staged = self._load()
        if staged is None:
            staged = self._stage(target)
        if staged is None:
            return self._as_xcom(target.segment_id, None)
        staged.segment_id = staged.segment_id or target.segment_id
        for number in range(len(staged.sent), len(staged.files)):
            repeats = client.repeats
            try:
                self._send(client, staged, number)
            finally:
                # When it has failed, too: what comes after a deferral may be the second of two.
                if client.repeats > repeats and number not in staged.repeated:
                    staged.repeated.append(number)
                    self._save(staged)
        # What earlier runs have staged, once nobody can fetch it any more.
        self._delete(lambda: self._staging.expired(time.time()))
        return self._as_xcom(staged.segment_id, staged)

    def _checkpoint_of(self, context: Context) -> AudienceCheckpoint:
        from airflow_provider_moengage.segments.audience_checkpoint import AudienceCheckpoint

        asked = tuple(getattr(self, what) for what in _ASKED)
        max_tries = getattr(context.get("ti"), "max_tries", None)
        return AudienceCheckpoint(context.get("task_state_store"), self.log, asked, max_tries)

    def _open_staging(self) -> None:
        from airflow_provider_moengage.segments.audience_guards import url_seconds_of
        from airflow_provider_moengage.transfers.staging import Staging, is_temporary

        seconds = url_seconds_of(self.url_expires_in)
        self._staging = Staging(self.staging, self.public_url, f"{self.dag_id}/{self.task_id}", seconds)
        # That a storage cannot sign is known before there is a file.
        self._set_file_url("not-there-yet.csv")
        if is_temporary(self.file_url):
            log_lines.warn(
                self.log,
                "The storage signs with temporary credentials: the address of the file dies with them, perhaps before "
                f"{seconds:,} s are over. Give staging a connection with credentials that last.",
            )

    def _set_file_url(self, name: str) -> None:
        self.file_url = self._staging.sign(name)
        mask_in_logs(self.file_url)

    def shown_file_url(self) -> str:
        """Give the folder alone: where nothing signs, whoever knows the file's name can fetch it."""
        return f"{super().shown_file_url().rpartition('/')[0]}/***"

    def _load(self) -> StagedAudience | None:
        staged = self._checkpoint.load(time.time() + self._staging.url_seconds, self.progress)
        if staged is None:
            return None
        if "staged" not in self.progress:
            if self.calls_back_to_airflow():
                # Airflow has forgotten to whom the callbacks of an earlier try belong: each call is made once more.
                staged.sent = []
            # An earlier try may have made the next call, and ended before it could write that down.
            staged.repeated = list(range(len(staged.sent), len(staged.files)))
        if not self._staging.holds(staged.files[len(staged.sent) :]):
            self.log.warning("What an earlier try has staged is not there any more: it is staged anew.")
            return None
        self.log.info(
            "%s: staged already; %d of %d calls are made.",
            count_of(sum(staged.rows), "value"),
            len(staged.sent),
            len(staged.files),
        )
        return staged

    def _stage(self, target: Target) -> StagedAudience | None:
        """Read, check and upload; None when there is nothing to send."""
        from airflow_provider_moengage.segments.audience_checkpoint import StagedAudience

        with TemporaryDirectory(prefix="moengage-audience-") as folder:
            pieces, facts = self._read(Path(folder))
            self._facts = facts
            if not pieces:
                left = "no segment was created" if target.segment_id is None else "the segment is as it was"
                self.log.warning("There are no values: nothing was uploaded or sent, and %s.", left)
                return None
            # A deferral signs anew, a day later at most.
            kept_until = time.time() + self._staging.url_seconds + LONGEST_DEFERRAL.total_seconds()
            token = self._staging.new_token()
            names = [self._staging.new_name(number, token, kept_until) for number in range(len(pieces))]
            for piece, name in zip(pieces, names, strict=True):
                self._staging.upload(piece.file, name)
                self.log.info("Uploaded %s (%s).", count_of(piece.rows, "value"), count_of(piece.size, "byte"))
        staged = StagedAudience(
            names, [piece.rows for piece in pieces], [piece.size for piece in pieces], facts, kept_until
        )
        self._save(staged)
        return staged

    def _read(self, folder: Path) -> tuple[list[Piece], dict[str, Any]]:
        """Read the values into files on this machine, and hold the guards against them."""
        from airflow_provider_moengage.segments.audience_guards import check_quota, check_rows
        from airflow_provider_moengage.transfers.values_file import write_values

        with closing(self.read_values()) as batches:  # type: ignore[type-var]
            pieces, facts = write_values(batches, self.attribute_type, folder, self.log)
        before = self._rows_before
        if before is None and self.max_change is not None:
            self.log.info("How many values the last run had is not known: max_change has nothing to compare with.")
        rows = facts["rows_written"]
        check_rows(rows, min_rows=self.min_rows, before=before, max_change=self.max_change)
        check_quota(rows, len(pieces), max_users=self.max_users, deferrable=self.deferrable)
        return pieces, facts

    def _send(self, client: MoEngageClient, staged: StagedAudience, number: int) -> None:
        """Make the call for one of the files, and write down that it is made."""
        self._set_file_url(staged.files[number])
        fields = self.file_fields(staged.segment_id, number + 1, len(staged.files))
        fields["segment_id"] = staged.segment_id
        if number == 0 and staged.segment_id is None:
            del fields["segment_id"]
            try:
                answer = client.create_file_segment(self.name, **fields, expiry_days=self.expiry_days)
            except DuplicateNameError as error:
                # It was made after it was looked for, and before the call.
                if error.existing_segment_id is None:
                    raise
                made = find_by_name(client, self.name)
                self.refuse_filter_segment(made)
                staged.segment_id = str(made["id"])
                self._send(client, staged, number)
                return
            action, what = "create", "fills"
        elif number == 0 and self.mode == "replace":
            answer = client.replace_users(self.name, **fields)
            action, what = "replace", "replaces all users of"
        elif self.mode == "remove":
            answer = client.remove_users(self.name, **fields)
            action, what = "remove_users", "removes users from"
        else:
            answer = client.add_users(self.name, **fields)
            action, what = "add_users", "adds users to"
        staged.segment_id = staged.segment_id or answer.get("cs_id")
        staged.sent.append(action)
        self.log_accepted(what, self.name)
        self._save(staged)

    def _save(self, staged: StagedAudience) -> None:
        self.progress.update(self._checkpoint.save(staged))

    def _delete(self, find: Callable[[], list[str]]) -> None:
        if self.keep_staged_file:
            return
        try:
            names = find()
            self._staging.delete(names)
        except Exception as error:  # noqa: BLE001 - each storage's library raises its own, and the audience is sent
            self.log.warning("Staged files that are not needed any more stay: %s.", type(error).__name__)
        else:
            if names:
                self.log.info("Deleted %s, of no use any more.", count_of(len(names), "staged file"))

    def _as_xcom(self, segment_id: str | None, staged: StagedAudience | None) -> dict[str, Any]:
        return {
            "cs_name": self.name,
            "cs_id": segment_id,
            "mode": self.mode,
            **(self._facts if staged is None else staged.facts),
            "calls": [] if staged is None else staged.calls(),
            "staged_files": [] if staged is None else [self._staging.uri_of(name) for name in staged.files],
        }
