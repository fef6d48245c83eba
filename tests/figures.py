"""Figures that tests count while they try things, printed at the end of a run: the README quotes them."""

from __future__ import annotations

from collections.abc import Callable


class Figures:
    """What was tried and seen, by its name, in the order in which it came up."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        self._units: dict[str, str] = {}

    def add(self, what: str, number: int = 1) -> None:
        """
        Count something.

        :param what: what is counted, such as ``bad inputs tried``.
        :param number: how many more of it.
        """
        self._keep(what, number, "", lambda old, new: old + new)

    def most(self, what: str, value: float, unit: str = "") -> None:
        """
        Keep the largest value of something.

        :param what: what is measured, such as ``longest lag of the event loop``.
        :param value: one value of it.
        :param unit: what it is measured in.
        """
        self._keep(what, value, unit, max)

    def lines(self) -> list[str]:
        """
        Write them as a table.

        :return: a line each, the values one below the other.
        """
        width = max(map(len, self._values), default=0)
        return [f"{what:<{width}}  {value:>9,.6g} {self._units[what]}".rstrip() for what, value in self._values.items()]

    def _keep(self, what: str, value: float, unit: str, joined: Callable[[float, float], float]) -> None:
        self._values[what] = joined(self._values[what], value) if what in self._values else value
        self._units[what] = unit


FIGURES = Figures()
