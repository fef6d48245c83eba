"""What a retry of a task need not repeat, kept in Airflow's task state store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.segments import log_lines

if TYPE_CHECKING:
    from airflow_provider_moengage.segments.bulk_plan import Segment


# Of those in which calls were sent: a day's quota has no more.
_MOST_SECONDS = 1_000


class Checkpoint:
    """
    Keeps which segments are done from one try of a task to the next.

    A bit for each, since what Airflow keeps for a task is limited to 64 KiB: whoever gives other segments to the next
    try has all of them done.

    :param store: Airflow's task state store, None where there is none.
    :param log: where it is said that the store does not work.
    :param segments: all that are to be done, in their order.
    :param max_tries: how many tries the task may have, as Airflow counts them. Clearing a task raises it: what was done
        before that counts no more.
    """

    _KEY = "moengage_done"

    def __init__(self, store: Any, log: Any, segments: Iterable[Segment], max_tries: int | None) -> None:
        self._store = store
        self._log = log
        self._keys = [segment.key for segment in segments]
        self._of = {"segments": sha256(repr(self._keys).encode()).hexdigest(), "max_tries": max_tries}
        self._saved: list[str] = []
        self.sent: list[list[int]] = []
        """When the calls of earlier tries were sent, as they were saved: these count toward the limits."""

    def load(self) -> list[str]:
        """
        Read what an earlier try has done.

        :return: keys of segments; none, where none were saved, or not of these segments and tries.
        """
        try:
            saved = None if self._store is None else self._store.get(self._KEY)
        except Exception as error:  # noqa: BLE001 - Airflow raises what its API has come to
            log_lines.warn(
                self._log, f"What an earlier try has done is repeated, since Airflow could not read it: {error}"
            )
            saved = None
        self._saved = self.read(saved)
        return list(self._saved)

    def read(self, saved: Any) -> list[str]:
        """
        Read what :meth:`pack` has made.

        :param saved: anything.
        :return: keys of segments; none, where it is not of these segments and tries.
        """
        if not isinstance(saved, dict) or any(saved.get(key) != value for key, value in self._of.items()):
            return []
        self.sent = saved.get("sent") or self.sent
        bits = int(saved["done"], 16)
        return [key for index, key in enumerate(self._keys) if bits >> index & 1]

    def pack(self, keys: Sequence[str], sent: Sequence[Sequence[int]] = ()) -> dict[str, Any]:
        """
        Put into JSON what is done: a deferral takes it along, and the store keeps it.

        :param keys: those of the segments.
        :param sent: when their calls were sent.
        :return: a few bytes for each of them.
        """
        done = frozenset(keys)
        bits = sum(1 << index for index, key in enumerate(self._keys) if key in done)
        return {**self._of, "done": f"{bits:x}", "sent": [list(one) for one in sent][-_MOST_SECONDS:]}

    def save(self, keys: Sequence[str], sent: Sequence[Sequence[int]] = ()) -> None:
        """
        Write down what is done. A store that fails is no reason to stop: to repeat what is done does no harm.

        :param keys: those of the segments, in their order.
        :param sent: when their calls were sent.
        """
        if self._store is None or keys == self._saved:
            return
        try:
            self._store.set(self._KEY, self.pack(keys, sent))
        except Exception as error:  # noqa: BLE001 - Airflow raises what its API has come to
            log_lines.warn(
                self._log, f"A retry will repeat what is done, since Airflow could not write it down: {error}"
            )
        else:
            self._saved = list(keys)

    def clear(self) -> None:
        """Delete what was saved: all is done."""
        if not self._saved:
            return
        try:
            self._store.delete(self._KEY)
        except Exception as error:  # noqa: BLE001 - likewise; it is of these tries only
            log_lines.warn(self._log, f"Airflow could not forget what this task has done: {error}")
        self._saved = []
