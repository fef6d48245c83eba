"""What of an audience is uploaded and sent, so that neither a retry nor a resumed task does it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any


@dataclass
class StagedAudience:
    """
    An audience that is uploaded, in JSON values; none of its values is in it.

    :param files: the names of its files, in their order.
    :param rows: how many values each of them has.
    :param sizes: how many bytes.
    :param facts: what the XCom says of how it was read.
    :param kept_until: when the files may be deleted, in epoch seconds.
    :param sent: the action of each call that was accepted, in their order.
    :param segment_id: the segment, once it is known.
    :param repeated: the numbers of the files for which MoEngage may hold a call twice.
    """

    files: list[str]
    rows: list[int]
    sizes: list[int]
    facts: dict[str, Any]
    kept_until: float
    sent: list[str] = field(default_factory=list)
    segment_id: str | None = None
    repeated: list[int] = field(default_factory=list)

    def calls(self) -> list[dict[str, Any]]:
        """
        Say which calls were accepted.

        :return: of each what it did, how much its file has, and whether MoEngage may hold it twice.
        """
        made = enumerate(zip(self.sent, self.rows, self.sizes, strict=False))
        return [
            {"action": action, "rows": rows, "bytes": size, "repeated": number in self.repeated}
            for number, (action, rows, size) in made
        ]


class AudienceCheckpoint:
    """
    Keeps what is uploaded and sent from one try of a task to the next.

    :param store: Airflow's task state store, None where there is none.
    :param log: where it is said that the store does not work.
    :param asked: everything that decides what is uploaded and sent.
    :param max_tries: how many tries the task may have, as Airflow counts them. Clearing a task raises it: what was done
        before that counts no more.
    """

    _KEY = "moengage_audience"

    def __init__(self, store: Any, log: Any, asked: object, max_tries: int | None) -> None:
        self._store = store
        self._log = log
        self._of = {"asked": sha256(repr(asked).encode(errors="replace")).hexdigest(), "max_tries": max_tries}

    def load(self, now: float, progress: dict[str, Any]) -> StagedAudience | None:
        """
        Read what is done.

        :param now: the time at which the addresses that are signed now end, in epoch seconds: no file that may be
            deleted before that is used.
        :param progress: what a deferral has taken along, which comes before what the store has.
        :return: it; None when there is nothing, or it is of another audience or of tries before a clear.
        """
        if "staged" in progress:
            # Of this very execution, whatever its templates have become since: what is begun is brought to its end.
            staged = StagedAudience(**progress["staged"])
            return staged if staged.kept_until >= now else None
        saved: Any = None
        try:
            if self._store is not None:
                saved = self._store.get(self._KEY)
        except Exception as error:  # noqa: BLE001 - Airflow raises what its API has come to
            self._log.warning("What an earlier try has done is repeated, since Airflow could not read it: %s", error)
        if not isinstance(saved, dict) or any(saved.get(key) != value for key, value in self._of.items()):
            return None
        staged = StagedAudience(**saved["staged"])
        return staged if staged.kept_until >= now else None

    def save(self, staged: StagedAudience) -> dict[str, Any]:
        """
        Write down what is done. A store that fails is no reason to stop: to do it again changes nothing.

        :param staged: what is uploaded and sent.
        :return: the same for a deferral to take along.
        """
        packed = {**self._of, "staged": asdict(staged)}
        if self._store is not None:
            try:
                self._store.set(self._KEY, packed)
            except Exception as error:  # noqa: BLE001 - Airflow raises what its API has come to
                self._log.warning("A retry will repeat what is done, since Airflow could not write it down: %s", error)
        return packed

    def clear(self) -> None:
        """Delete what was saved: all is done."""
        if self._store is None:
            return
        try:
            self._store.delete(self._KEY)
        except Exception as error:  # noqa: BLE001 - likewise; it is of these tries only
            self._log.warning("Airflow could not forget what this task has done: %s", error)
