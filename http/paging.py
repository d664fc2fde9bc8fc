"""Pages of a range of rows: what to read, and how to walk on from there. Pure.

Two ways lead through a range. By offset, oldest first (or newest first with `sort_order=desc`), as clients
that page have always done. Or from the newest rows backwards, which is what a call without any paging
parameter means: its links say "before this time, without the k rows of that last millisecond seen already",
so they stay exact while rows arrive, cost the same at any depth, and go on beyond the range's default start.
Links that would pass the largest offset turn into the same form: they begin at the page's last millisecond. All links
pin `end`. Only a millisecond that holds more rows than the largest offset has no link to its end; a stream does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Generic, NamedTuple, TypeVar

from data_manager.http.answers import stamp
from data_manager.http.errors import invalid_value
from data_manager.http.params import EPOCH, OFFSET_MAX, RangeParams
from data_manager.storage.protocols import COUNT_CAP, Query
from data_manager.storage.records import Record
from data_manager.storage.walking import time_of

R = TypeVar("R", bound=Record)
Fields = dict[str, str]

MICROSECOND = timedelta(microseconds=1)


class Span(NamedTuple):
    """The range with its defaults filled in."""

    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        """The first millisecond inside."""
        return ceil_ms(self.start)

    @property
    def end_ms(self) -> int:
        """The first millisecond after it."""
        return ceil_ms(self.end)


class Page(NamedTuple, Generic[R]):
    """One page as it was read, in the order in which it is served."""

    rows: Sequence[R]
    more: bool  # further rows of the range follow in the direction of reading
    total: int
    total_is_lower_bound: bool
    older_ms: int | None = None  # newest-first reading that reached the range's start: the newest row before it
    seen: int = 0  # where more follow: the rows of the last millisecond read that have been passed with this page


def ceil_ms(moment: datetime) -> int:
    """The first whole millisecond at or after `moment`, since 1970: rows carry whole ones."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))


def at(ms: int) -> str:
    """A millisecond as links carry it: with `Z`, since a `+` would have to be escaped."""
    return stamp(ms).replace("+00:00", "Z")


def span(asked: RangeParams, now: datetime, default: timedelta) -> Span:
    """The range that is asked for; raises a 422 Refusal when it is empty."""
    end = asked.end or now
    start = max(EPOCH, end - default) if asked.start is None else asked.start
    if start >= end:
        raise invalid_value(("query", "start"), "start must be before end, which is now by default", start.isoformat())
    return Span(start, end)


def query_for(asked: RangeParams, within: Span, equal: tuple[tuple[str, str | int | bool], ...]) -> Query:
    """What to read: one row more than the page holds, to learn whether more follow."""
    return Query(
        start_ms=within.start_ms,
        end_ms=within.end_ms,
        equal=equal,
        limit=asked.limit + 1,
        offset=asked.skip if asked.newest else asked.offset or 0,
        descending=asked.newest or asked.sort_order == "desc",
    )


def page_of(
    asked: RangeParams,
    found: Sequence[R],
    count: Callable[[int], int],
    older: Callable[[], int | None],
    passed: Callable[[int], int],
) -> Page[R]:
    """The page from the rows that `query_for` found.

    `count(cap)` is called only where the rows themselves do not tell the total, `older()` only where a newest
    page reaches the start of its range, and `passed(ms)`, which tells how many rows of the range come before those of
    that time in the direction of reading, only where a page that is not the first has one time throughout.
    """
    rows, more = list(found[: asked.limit]), len(found) > asked.limit
    before = asked.skip if asked.newest else asked.offset or 0
    seen = seen_of_last(rows, before, passed) if more else 0
    if asked.newest:
        rows.reverse()
    total, bounded = before + len(rows), False
    if more or (before and not rows):
        counted = count(COUNT_CAP + 1)
        bounded = counted > COUNT_CAP
        total = max(COUNT_CAP, total + more) if bounded else counted
    return Page(rows, more, total, bounded, None if more or not asked.newest else older(), seen)


def seen_of_last(rows: Sequence[R], before: int, passed: Callable[[int], int]) -> int:
    """How many rows of the last row's time have been passed with `rows`, which `before` others of the range precede."""
    edge = time_of(rows[-1])
    seen = sum(1 for _ in takewhile(lambda row: time_of(row) == edge, reversed(rows)))
    if seen < len(rows) or not before:
        return seen
    return before + seen - passed(edge)


def pagination(asked: RangeParams, page: Page[R]) -> dict[str, int | bool | None]:
    """The `pagination` object. In a newest page of a range too long to count, its place is unknown: null."""
    pages = -(-page.total // asked.limit)
    offset: int | None
    number: int | None
    if not asked.newest:
        offset = asked.offset or 0
        number = offset // asked.limit + 1
        has_next, has_previous = page.more, offset > 0
    else:
        known = not page.total_is_lower_bound
        offset = page.total - asked.skip - len(page.rows) if known else None
        number = max(1, pages - asked.skip // asked.limit) if known else None
        has_next, has_previous = asked.skip > 0, page.more or page.older_ms is not None
    return {
        "total": page.total,
        "limit": asked.limit,
        "offset": offset,
        "page": number,
        "pages": pages,
        "has_next": has_next,
        "has_previous": has_previous,
        "total_is_lower_bound": page.total_is_lower_bound,
    }


def numbered(limit: int, offset: int, total: int) -> dict[str, int | bool]:
    """The `pagination` object of a list whose length is known exactly."""
    return {
        "total": total,
        "limit": limit,
        "offset": offset,
        "page": offset // limit + 1,
        "pages": -(-total // limit),
        "has_next": offset + limit < total,
        "has_previous": offset > 0,
    }


def links(asked: RangeParams, within: Span, page: Page[R]) -> dict[str, Fields]:
    """The parameters that lead to the neighbouring pages, by relation (`next`, `prev`)."""
    if asked.newest:
        fields = newest_link(asked, page)
        return {} if fields is None else {"prev": fields}
    out: dict[str, Fields] = {}
    offset, order = asked.offset or 0, asked.sort_order or "asc"
    base = {"start": at(within.start_ms), "end": at(within.end_ms), "sort_order": order}
    if page.more:
        size, beyond = {"limit": str(asked.limit)}, offset + asked.limit
        if beyond <= OFFSET_MAX:
            out["next"] = base | {"offset": str(beyond)} | size
        elif page.seen <= OFFSET_MAX:
            out["next"] = base | from_last(page, order) | {"offset": str(page.seen)} | size
    if offset > 0:
        back = min(asked.limit, offset)
        out["prev"] = base | {"offset": str(offset - back), "limit": str(back)}
    return out


def newest_link(asked: RangeParams, page: Page[R]) -> Fields | None:
    """Where the rows before a newest page are; None when there are none."""
    size = {"limit": str(asked.limit)}
    if page.more and page.seen <= OFFSET_MAX:
        return {"end": at(time_of(page.rows[0]) + 1), "skip": str(page.seen)} | size
    if page.older_ms is not None:
        return {"end": at(page.older_ms + 1)} | size
    return None


def from_last(page: Page[R], order: str) -> Fields:
    """The bound of a range that begins with the time of the page's last row, in the direction of reading."""
    edge = time_of(page.rows[-1])
    return {"end": at(edge + 1)} if order == "desc" else {"start": at(edge)}
