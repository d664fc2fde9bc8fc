"""Faults of the REST side on demand: wrong answers, and rows that the exchange does not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

MAX_FAULTS = 100
MAX_SLOW_S = 300

Count = Annotated[int, msgspec.Meta(gt=0)]
RetryAfter = Annotated[int, msgspec.Meta(gt=0)]
Pause = Annotated[float, msgspec.Meta(gt=0, le=MAX_SLOW_S)]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """What the next `count` requests of a route (all routes: "") get; until it is cleared when `count` is null."""

    route: str = ""
    count: Count | None = None


class TooMany(Answer, frozen=True, tag="429"):
    """429 with Retry-After."""

    retry_after_s: RetryAfter = 1


class Banned(Answer, frozen=True, tag="418"):
    """418 with Retry-After."""

    retry_after_s: RetryAfter = 120


class ServerError(Answer, frozen=True, tag="5xx"):
    """A body that is no JSON, as gateways send it."""

    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 503


class Slow(Answer, frozen=True, tag="slow"):
    """The right answer, later."""

    seconds: Pause = 1


class Truncated(Answer, frozen=True, tag="truncated"):
    """Half of the body; then the connection is cut."""


class Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="empty"):
    """No bar, trade or funding rate of a symbol inside `start <= time < end`, in ms."""

    symbol: str
    start: int
    end: int


class MissingIds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="missing"):
    """No aggTrade of a symbol with `first <= a <= last`."""

    symbol: str
    first: int
    last: int


AnyAnswer = TooMany | Banned | ServerError | Slow | Truncated
Fault = AnyAnswer | Empty | MissingIds


class Faults:
    """The faults in force; answers come in the order in which they were set, one for each request."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._answers: list[AnyAnswer] = []
        self._holes: list[Empty | MissingIds] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Put one in force; ValueError beyond MAX_FAULTS."""
        if len(self._answers) + len(self._holes) >= MAX_FAULTS:
            raise ValueError(f"{MAX_FAULTS} faults are set already: clear them first")
        if isinstance(fault, Answer):
            self._answers.append(fault)
        else:
            self._holes.append(fault)

    def clear(self) -> None:
        """End them all."""
        self._answers.clear()
        self._holes.clear()

    def active(self) -> list[Fault]:
        """Those in force."""
        return [*self._answers, *self._holes]

    def take(self, route: str) -> AnyAnswer | None:
        """The fault that this request gets; it counts down."""
        for place, answer in enumerate(self._answers):
            if answer.route in ("", route):
                if answer.count == 1:
                    del self._answers[place]
                elif answer.count:
                    self._answers[place] = msgspec.structs.replace(answer, count=answer.count - 1)
                return answer
        return None

    def has_rows(self, symbol: str, start_ms: int, end_ms: int | None = None) -> bool:
        """Whether the exchange has what happened at `start_ms`, or the bar `start_ms <= time < end_ms`."""
        last_ms = start_ms if end_ms is None else end_ms - 1
        return not any(
            hole.symbol == symbol and hole.start <= start_ms and last_ms < hole.end
            for hole in self._holes
            if isinstance(hole, Empty)
        )

    def has_id(self, symbol: str, agg_id: int) -> bool:
        """Whether the exchange has this aggTrade."""
        return not any(
            hole.symbol == symbol and hole.first <= agg_id <= hole.last
            for hole in self._holes
            if isinstance(hole, MissingIds)
        )
