"""What a request asks for, and the errors that the exchange answers with when it asks wrongly."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from data_manager.actors.exchange.minutes import MINUTE_MS

INTERVALS_MS = {
    name: minutes * MINUTE_MS
    for name, minutes in {
        "1m": 1,
        "3m": 3,
        "5m": 5,
        "15m": 15,
        "30m": 30,
        "1h": 60,
        "2h": 120,
        "4h": 240,
        "6h": 360,
        "8h": 480,
        "12h": 720,
        "1d": 1440,
    }.items()
}

_INTEGER = re.compile("[0-9]{1,15}")


class Refusal(Exception):
    """An error as the exchange answers it: HTTP status, `{"code","msg"}`, and `Retry-After` in seconds."""

    def __init__(self, status: int, code: int, sentence: str, retry_after_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> dict[str, object]:
        """The answer's JSON."""
        return {"code": self.code, "msg": str(self)}


class Query:
    """The parameters of one request. Every method raises Refusal for what the exchange would not take."""

    def __init__(self, given: Mapping[str, str], listed: Collection[str]) -> None:
        self._given = given
        self._listed = listed

    def has(self, name: str) -> bool:
        """Whether the parameter came with a value."""
        return bool(self._given.get(name))

    def symbol(self) -> str:
        """The symbol, which must be listed."""
        name = self._needed("symbol")
        if name not in self._listed:
            raise Refusal(400, -1121, "Invalid symbol.")
        return name

    def symbols(self) -> list[str]:
        """The symbol, or all that are listed when the request names none."""
        return [self.symbol()] if self.has("symbol") else list(self._listed)

    def interval_ms(self) -> int:
        """Length of the bars."""
        name = self._needed("interval")
        if name not in INTERVALS_MS:
            raise Refusal(400, -1120, "Invalid interval.")
        return INTERVALS_MS[name]

    def limit(self, default: int, most: int) -> int:
        """How many rows, 1 to `most`."""
        limit = self.integer("limit")
        if limit is None:
            return default
        if not 1 <= limit <= most:
            raise Refusal(400, -1130, "Data sent for parameter 'limit' is not valid.")
        return limit

    def integer(self, name: str) -> int | None:
        """A parameter that is a number of at most 15 digits; None when it was not sent."""
        if not self.has(name):
            return None
        text = self._given[name]
        if not _INTEGER.fullmatch(text):
            raise Refusal(
                400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,15}}$'."
            )
        return int(text)

    def times(self) -> tuple[int | None, int | None]:
        """`startTime` and `endTime` in ms, both inclusive."""
        start, end = self.integer("startTime"), self.integer("endTime")
        if start is not None and end is not None and start > end:
            raise Refusal(400, -1023, "Start time is greater than end time.")
        return start, end

    def _needed(self, name: str) -> str:
        if not self.has(name):
            raise Refusal(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self._given[name]
