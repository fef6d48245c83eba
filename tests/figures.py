"""Figures that tests count while they try things, printed at the end of a run."""

from __future__ import annotations


class Figures:
    """What was tried and seen, by its name, in the order in which it came up."""

    def __init__(self) -> None:
        # The sums and the maxima, each with its unit.
        self._figures: dict[str, tuple[str, float, str]] = {}

    def add(self, what: str, number: int = 1) -> None:
        """
        Count something.

        :param what: what is counted, such as ``bad inputs tried``.
        :param number: how many more of it.
        """
        self._keep(what, "sum", number, "")

    def most(self, what: str, value: float, unit: str = "") -> None:
        """
        Keep the largest value of something.

        :param what: what is measured, such as ``longest lag of the event loop``.
        :param value: one value of it.
        :param unit: what it is measured in.
        """
        self._keep(what, "most", value, unit)

    def lines(self) -> list[str]:
        """
        Write them as a table.

        :return: a line each, the values one below the other.
        """
        width = max(map(len, self._figures), default=0)
        return [f"{what:<{width}}  {value:>9,.6g} {unit}".rstrip() for what, (_, value, unit) in self._figures.items()]

    def as_json(self) -> list[tuple[str, str, float, str]]:
        """Write them down for another process."""
        return [(what, *figure) for what, figure in self._figures.items()]

    def join(self, others: list[tuple[str, str, float, str]]) -> None:
        """
        Add those of another process.

        :param others: what :meth:`as_json` gives there.
        """
        for figure in others:
            self._keep(*figure)

    def _keep(self, what: str, kind: str, value: float, unit: str) -> None:
        if what in self._figures:
            before = self._figures[what][1]
            value = before + value if kind == "sum" else max(before, value)
        self._figures[what] = (kind, value, unit)


FIGURES = Figures()
