"""The data centers of MoEngage: which host answers for which workspace."""

from __future__ import annotations

import re
from typing import NamedTuple

from airflow_provider_moengage.client.errors import InvalidInputError

_LONGEST_SHOWN = 8

_ADDRESS = r"(?ai)(?:https?://)?[a-z]+-0*(\d{1,3})\.moengage\.com(?![\w.-])"


class DataCenter(NamedTuple):
    """
    One MoEngage data center.

    :param number: its number as in its host names, ``01`` for example.
    :param region: where it is, for people.
    """

    number: str
    region: str

    @property
    def api_url(self) -> str:
        """Where its API answers."""
        return f"https://api-{self.number}.moengage.com"

    @property
    def dashboard_url(self) -> str:
        """Where people log in."""
        return f"https://dashboard-{self.number}.moengage.com"


DATA_CENTERS = {
    data_center.number: data_center
    for data_center in (
        DataCenter("01", "US"),
        DataCenter("02", "EU"),
        DataCenter("03", "India"),
        DataCenter("04", "US"),
        DataCenter("05", "Singapore"),
        DataCenter("06", "Indonesia"),
        DataCenter("101", "region not published"),
    )
}
"""Those in service, by their numbers."""


def data_center_of(value: object) -> DataCenter:
    """
    Find a data center by the ways in which people write its number.

    :param value: ``"01"``, ``"1"``, ``1``, ``"DC-01"`` or ``"dc 1"``.
    :return: the data center.
    :raises InvalidInputError: when there is none of that number; the message names those that there are.
    """
    text = str(value).strip() if isinstance(value, str) or value in range(1_000) else ""
    written = re.fullmatch(r"(?:dc[\s_-]*)?0*(\d{1,3})", text, flags=re.ASCII | re.IGNORECASE)
    found = DATA_CENTERS.get(written[1].zfill(2)) if written else None
    if found is None:
        if address := re.match(_ADDRESS, text):
            raise InvalidInputError(
                "data_center takes the number alone, not the address that it stands in: set it to "
                f"{address[1].zfill(2)}."
            )
        # A long value may be a key that went into the wrong field.
        written_as = f" {value!r}" if text and len(text) <= _LONGEST_SHOWN else " that is called what was given"
        known = ", ".join(f"{known.number} ({known.region})" for known in DATA_CENTERS.values())
        raise InvalidInputError(
            f"There is no MoEngage data center{written_as}. Set data_center to one of {known}: "
            "it is the number in the address of your MoEngage dashboard, https://dashboard-01.moengage.com."
        )
    return found
