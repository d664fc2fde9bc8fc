from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.absences import Absent
from data_manager.actors.backfill.binance import TRIES, Binance
from data_manager.actors.backfill.paging import TRADES_KEPT_MS, Fetched, walk
from data_manager.actors.backfill.plan import HOUR_MS, Checkpoint, DataType, Work, of_candles
from data_manager.actors.backfill.weights import Route
from data_manager.storage.records import MINUTE_MS, Symbol
from data_manager.system.errors import ExchangeUnavailable
from tests.actors.backfill.clocks import SleptClock
from tests.actors.backfill.exchange_server import CONF, ExchangeServer, client_of, exchange_server, with_bytes
from tests.actors.backfill.market import Market

examples = settings(derandomize=True, deadline=None, max_examples=25)

BTC = Symbol("BTCUSDT")
NOW = SleptClock().now_ms()
T0 = NOW // MINUTE_MS * MINUTE_MS - 24 * HOUR_MS
SIZE = 4  # rows of a page here
ROUTES = msgspec.structs.replace(
    CONF.routes,
    klines=Route(CONF.routes.klines.path, {SIZE: 1}),
    agg_trades=Route(CONF.routes.agg_trades.path, {SIZE: 20}),
    funding_rates=Route(CONF.routes.funding_rates.path, {SIZE: 0}, funding=True),
)
EVERY_8H = [T0 + i * 8 * HOUR_MS + 3 for i in range(-30, 3)]


def minutes(*places: int) -> list[int]:
    return [T0 + place * MINUTE_MS for place in places]


def candles(bars: int, *, newest_first: bool = False) -> Work:
    return of_candles(BTC, "1m", Range(T0, T0 + bars * MINUTE_MS), newest_first=newest_first)


def trades(start: int, end: int) -> Work:
    return Work(BTC, DataType.TRADES, Range(start, end))


def funding(start: int, end: int) -> Work:
    return Work(BTC, DataType.FUNDING, Range(start, end))


Run = Callable[[ExchangeServer, Binance], Awaitable[Any]]


def on(market: Market, run: Run) -> Any:
    async def within() -> Any:
        async with exchange_server(SleptClock()) as server, client_of(server) as (client, _):
            market.serve(server)
            return await run(server, client)

    return asyncio.run(within())


def pages_of(market: Market, work: Work, checkpoint: Checkpoint | None = None) -> list[Fetched]:
    async def run(server: ExchangeServer, client: Binance) -> list[Fetched]:
        return [page async for page in walk(client, work, ROUTES, checkpoint)]

    return list(on(market, run))


def keys(pages: Sequence[Fetched]) -> list[object]:
    """The natural keys of all rows, in the order in which they came."""
    return [tuple(getattr(row, name) for name in row.key) for page in pages for row in page.rows]


def absent(pages: Sequence[Fetched]) -> list[Absent]:
    return [each for page in pages for each in page.absent]


# -- candles ------------------------------------------------------------------------------------------------


def test_bars_come_in_pages_and_none_twice():
    pages = pages_of(Market(opens=minutes(*range(-5, 15))), candles(10))
    assert [len(page.rows) for page in pages] == [4, 4, 2]
    assert keys(pages) == [("1m", at) for at in minutes(*range(10))]
    assert pages[-1].checkpoint == Checkpoint(T0 + 10 * MINUTE_MS)
    assert not absent(pages)


def test_newest_first_the_last_page_is_the_oldest():
    pages = pages_of(Market(opens=minutes(*range(-5, 15))), candles(10, newest_first=True))
    assert [page.rows[0].open_time for page in pages] == minutes(6, 2, 0)  # type: ignore[union-attr]
    assert pages[-1].checkpoint == Checkpoint(T0)


def test_bars_that_the_exchange_does_not_have_are_evidence_and_no_error():
    pages = pages_of(Market(opens=minutes(0, 1, 3, 9)), candles(10))
    assert absent(pages) == [
        Absent(*minutes(2, 3)),
        Absent(*minutes(4, 8)),
        Absent(*minutes(8, 9)),
    ]


def test_bars_that_may_still_come_are_not_called_absent():
    async def run(server: ExchangeServer, client: Binance) -> list[Fetched]:
        server.ahead_ms = T0 + 3 * MINUTE_MS + 30_000 - NOW
        return [page async for page in walk(client, candles(10), ROUTES)]

    pages = on(Market(opens=minutes(0)), run)
    assert absent(pages) == [Absent(*minutes(1, 2))]


# -- trades -------------------------------------------------------------------------------------------------


def test_trades_are_found_by_time_and_followed_by_id():
    market = Market(trades=[(a, T0 + 60_000 * a) for a in range(30)])
    pages = pages_of(market, trades(T0 + 300_000, T0 + 900_001))
    assert keys(pages) == [("aggTrade", a) for a in range(5, 16)]
    assert pages[0].checkpoint == Checkpoint(T0 + 480_000, 9)
    assert pages[-1].checkpoint.time_ms == T0 + 900_001
    assert not absent(pages)


def test_more_trades_in_one_millisecond_than_a_page_holds_all_come_once():
    market = Market(trades=[(a, T0 + 5) for a in range(10)] + [(10, T0 + 6)])
    assert keys(pages_of(market, trades(T0, T0 + 6))) == [("aggTrade", a) for a in range(10)]


def test_hours_without_a_trade_are_evidence():
    market = Market(trades=[(1, T0 - 1), (2, T0 + 2 * HOUR_MS + 7)])
    pages = pages_of(market, trades(T0, T0 + 3 * HOUR_MS))
    assert keys(pages) == [("aggTrade", 2)]
    assert absent(pages) == [Absent(T0, T0 + HOUR_MS), Absent(T0 + HOUR_MS, T0 + 2 * HOUR_MS)]


def test_ids_that_the_exchange_skips_are_evidence_within_a_page_and_between_two():
    there = [0, 1, 2, 3, 6, 7, 9, 10]
    pages = pages_of(Market(trades=[(a, T0 + 100 * a) for a in there]), trades(T0, T0 + 1000))
    assert keys(pages) == [("aggTrade", a) for a in there[:-1]]
    assert absent(pages) == [Absent(T0 + 300, T0 + 601, 4, 5), Absent(T0 + 700, T0 + 901, 8, 8)]


def test_ids_that_are_skipped_after_the_end_are_no_evidence():
    pages = pages_of(Market(trades=[(a, T0 + 100 * a) for a in (0, 1, 2, 3, 4, 5, 8)]), trades(T0, T0 + 450))
    assert keys(pages) == [("aggTrade", a) for a in range(5)]
    assert not absent(pages)


def test_what_is_older_than_the_exchange_keeps_trades_is_not_called_absent():
    start = NOW - TRADES_KEPT_MS - 2 * HOUR_MS
    assert not absent(pages_of(Market(), trades(start, start + HOUR_MS)))


@pytest.mark.parametrize("made", [[], [(1, NOW - 100)], [(a, NOW - 200_000 + a) for a in range(6)]])
def test_at_the_exchanges_present_the_walk_ends_and_goes_on_later_where_it_was(made: list[tuple[int, int]]):
    later = [(7, NOW + 1), (8, NOW + 2)]
    work = trades(NOW - 300_000, NOW + 60_000)

    async def run(server: ExchangeServer, client: Binance) -> tuple[list[Fetched], list[Fetched]]:
        first = [page async for page in walk(client, work, ROUTES)]
        await server.clock.sleep(200)
        return first, [page async for page in walk(client, work, ROUTES, first[-1].checkpoint)]

    first, then = on(Market(trades=made + later), run)
    assert keys(first) == [("aggTrade", a) for a, _ in made]
    assert keys(then) == [("aggTrade", a) for a, _ in later]
    assert first[-1].checkpoint.time_ms < work.within.end_ms == then[-1].checkpoint.time_ms


# -- funding ------------------------------------------------------------------------------------------------


def test_funding_goes_on_behind_a_full_page():
    pages = pages_of(Market(funding=EVERY_8H), funding(EVERY_8H[0], EVERY_8H[9]))
    assert [len(page.rows) for page in pages] == [4, 4, 1]
    assert keys(pages) == [(at - 3,) for at in EVERY_8H[:9]]
    assert not absent(pages)


def test_a_time_without_funding_is_evidence():
    within = Range(T0 + 4, T0 + HOUR_MS)
    (page,) = pages_of(Market(funding=EVERY_8H), funding(*within))
    assert (page.rows, page.absent, page.checkpoint) == ([], [Absent(*within)], Checkpoint(within.end_ms))


def test_funding_that_may_still_be_settled_is_not_absent_and_not_passed_over():
    pages = pages_of(Market(), funding(NOW - 1000, NOW + 1000))
    assert not absent(pages)
    assert pages[-1].checkpoint == Checkpoint(NOW - 1000)


# -- anywhere -----------------------------------------------------------------------------------------------

places = strategies.sets(strategies.integers(0, 40), max_size=25).map(sorted)


@examples
@given(places, strategies.booleans())
def test_candles_are_those_of_the_exchange_and_all_else_is_told_absent(there: list[int], newest_first: bool):
    pages = pages_of(Market(opens=minutes(*there)), candles(20, newest_first=newest_first))
    inside = [place for place in there if place < 20]
    assert sorted(keys(pages)) == [("1m", at) for at in minutes(*inside)]
    told = sorted(at for each in absent(pages) for at in range(each.start_ms, each.end_ms, MINUTE_MS))
    assert told == minutes(*(place for place in range(20) if place not in inside))


@examples
@given(places, strategies.integers(1, HOUR_MS // 4))
def test_trades_are_those_of_the_exchange_and_every_skipped_id_is_told(there: list[int], apart_ms: int):
    market = Market(trades=[(a, T0 + a * apart_ms) for a in there])
    end = T0 + 41 * apart_ms
    pages = pages_of(market, trades(T0, end))
    assert keys(pages) == [("aggTrade", a) for a in there]
    told = [a for each in absent(pages) if each.first_id is not None for a in range(each.first_id, each.last_id + 1)]  # type: ignore[operator]
    assert told == [a for a in range(there[0], there[-1]) if a not in there] if there else not told
    assert pages[-1].checkpoint.time_ms == end


WORKS = [
    (candles(18), Market(opens=minutes(*range(7), *range(12, 20)))),
    (candles(18, newest_first=True), Market(opens=minutes(*range(7), *range(12, 20)))),
    (
        trades(T0, T0 + 6 * HOUR_MS),
        Market(trades=[(a, T0 + HOUR_MS + a // 6 * 1000) for a in range(15)] + [(17, T0 + 5 * HOUR_MS)]),
    ),
    (funding(EVERY_8H[0], EVERY_8H[11]), Market(funding=EVERY_8H)),
]


@pytest.mark.parametrize(("work", "market"), WORKS)
def test_from_every_page_on_another_walk_brings_the_same_rows_and_evidence(work: Work, market: Market):
    pages = pages_of(market, work)
    assert len(pages) > 2
    for done, page in enumerate(pages, 1):
        checkpoint = msgspec.json.decode(msgspec.json.encode(page.checkpoint), type=Checkpoint)
        assert pages_of(market, work, checkpoint) == pages[done:]


@pytest.mark.parametrize(("work", "market"), WORKS)
def test_a_walk_that_broke_off_goes_on_at_its_last_checkpoint(work: Work, market: Market):
    async def run(server: ExchangeServer, client: Binance) -> list[Fetched]:
        pages: list[Fetched] = []

        async def go_on(checkpoint: Checkpoint | None) -> None:
            async for page in walk(client, work, ROUTES, checkpoint):
                pages.append(page)

        server.queue = [server.answers[_path(work)], *[with_bytes(b"", 503)] * TRIES]
        with pytest.raises(ExchangeUnavailable):
            await go_on(None)
        assert len(pages) == 1
        await go_on(pages[0].checkpoint)
        return pages

    assert keys(on(market, run)) == keys(pages_of(market, work))


def _path(work: Work) -> str:
    routes = {
        DataType.CANDLES: ROUTES.klines,
        DataType.TRADES: ROUTES.agg_trades,
        DataType.FUNDING: ROUTES.funding_rates,
    }
    return routes[work.data_type].path


def test_rates_that_did_not_settle_are_absent_and_those_between_the_same_two_taken_together():
    there = [at for index, at in enumerate(EVERY_8H[:9]) if index not in (2, 5, 6)]
    pages = pages_of(Market(funding=there), funding(EVERY_8H[0], EVERY_8H[9]))
    one, two = (at - at % MINUTE_MS for at in (EVERY_8H[2], EVERY_8H[5]))
    assert [(each.start_ms, each.end_ms) for each in absent(pages)] == [
        (one, one + MINUTE_MS),
        (two, two + 8 * 3_600_000 + MINUTE_MS),
    ]
