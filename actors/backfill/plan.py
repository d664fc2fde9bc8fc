"""What a job fetches, in which pages, and what that costs. Pure; times in ms UTC, ends exclusive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from data_manager.actors.audit.grid import Range, due_before, first_whole
from data_manager.actors.backfill.weights import Route, pages
from data_manager.storage.records import TIMEFRAMES, Symbol
from data_manager.storage.retention import DAY_MS

HOUR_MS = 3_600_000
FUNDING_EVERY_MS = 8 * HOUR_MS  # usually; some symbols settle more often
REQUEST_S = 0.2  # from one request to the next of a job: what a request takes, with the writing of its rows


class DataType(StrEnum):
    """What backfill fetches: a job's `data_type`."""

    CANDLES = "candles"
    TRADES = "trades"
    FUNDING = "funding"


class Work(msgspec.Struct, frozen=True):
    """What a job is to fetch. Candles come oldest or newest first, all else oldest first.

    The range of candles must begin and end where bars open: `of_candles` sees to it.
    """

    symbol: Symbol
    data_type: DataType
    within: Range
    timeframe: str | None = None  # of candles, and of nothing else
    newest_first: bool = False


class Checkpoint(msgspec.Struct, frozen=True):
    """How far a job has come: where the rest of its range begins, or ends if it goes newest first.

    `next_id` is the id of the aggTrade that is fetched next, where that is known.
    """

    time_ms: int
    next_id: int | None = None


class Estimate(NamedTuple):
    """What a job costs. For trades, the number of which nobody knows before, this is the least."""

    requests: int
    weight: int
    seconds: float


def of_candles(symbol: Symbol, timeframe: str, within: Range, *, newest_first: bool = False) -> Work:
    """The bars that open in `within`, whatever its ends."""
    length = TIMEFRAMES[timeframe]
    bars = Range(first_whole(within.start_ms, length), first_whole(within.end_ms, length))
    return Work(symbol, DataType.CANDLES, bars, timeframe, newest_first)


def rest(work: Work, checkpoint: Checkpoint | None) -> Range:
    """What of the range is still to be fetched."""
    start, end = work.within
    if checkpoint is None:
        return work.within
    return Range(start, checkpoint.time_ms) if work.newest_first else Range(checkpoint.time_ms, end)


def page_size(work: Work, route: Route) -> int:
    """Rows that each request of the job asks for; the same from its first page to its last."""
    if work.timeframe is None:
        return route.most_rows
    return route.page_size(work.within.bars(TIMEFRAMES[work.timeframe]))


def candle_pages(work: Work, size: int, checkpoint: Checkpoint | None = None) -> Iterator[Range]:
    """The pages that are left of a job for candles, `size` bars each but for the last; no bar is in two."""
    assert work.timeframe is not None
    step = size * TIMEFRAMES[work.timeframe]
    start, end = rest(work, checkpoint)
    while start < end:
        if work.newest_first:
            page = Range(max(start, end - step), end)
            end = page.start_ms
        else:
            page = Range(start, min(start + step, end))
            start = page.end_ms
        yield page


def progress(work: Work, checkpoint: Checkpoint | None) -> float:
    """Percent of the job's range that is done."""
    start, end = work.within
    left = rest(work, checkpoint)
    return 100.0 if end <= start else 100 - 100 * max(0, left.end_ms - left.start_ms) / (end - start)


def estimate(work: Work, route: Route, weight_a_minute: int, checkpoint: Checkpoint | None = None) -> Estimate:
    """What is left of a job costs so much, and takes so long with the whole budget to itself."""
    size, left = page_size(work, route), rest(work, checkpoint)
    if work.timeframe is not None:
        requests = pages(left.bars(TIMEFRAMES[work.timeframe]), size)
    elif work.data_type is DataType.FUNDING:
        requests = max(1, pages(left.end_ms - left.start_ms, size * FUNDING_EVERY_MS))
    else:
        requests = pages(left.end_ms - left.start_ms, HOUR_MS)
    weight = requests * route.weight(size)
    return Estimate(requests, weight, max(requests * REQUEST_S, weight * 60 / weight_a_minute))


def bootstrap(symbols: Sequence[Symbol], days: Mapping[str, int], server_ms: int) -> list[Work]:
    """The history that new symbols begin with: of each timeframe in turn, a job for every symbol, newest first."""
    work = []
    for timeframe, back in days.items():
        end = due_before(server_ms, TIMEFRAMES[timeframe], 0)
        within = Range(end - back * DAY_MS, end)
        work += [of_candles(symbol, timeframe, within, newest_first=True) for symbol in symbols]
    return work
