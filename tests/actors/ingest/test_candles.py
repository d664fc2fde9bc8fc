from __future__ import annotations

import random
from decimal import Decimal, Inexact

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest.candles import Neighbours, Tally, derive, from_tally, roll_up
from data_manager.storage.records import MINUTE_MS, Candle, Source, Trade
from tests.actors.ingest.trades import DAY, FIRST_ID, aggregate, histories, minute_of, neighbours, raw

NOBODY: Neighbours = (None, None, None, None)
STORED_MS = 77

shuffled = settings(derandomize=True, deadline=None, max_examples=80)


def within(trades: list[Trade], start: int, length: int = MINUTE_MS) -> list[Trade]:
    return [trade for trade in trades if start <= trade.time_ms < start + length]


def derived(stored: list[Trade], start: int, length: int = MINUTE_MS) -> Candle | None:
    """The bar of a stretch of time, by `derive`."""
    return derive(within(stored, start, length), start, neighbours(stored, start, start + length), STORED_MS)


def minutes(trades: list[Trade]) -> list[int]:
    return sorted({minute_of(trade.time_ms) for trade in trades})


def figures(bar: Candle) -> dict[str, object]:
    """What a bar says, without saying which bar it is."""
    fields = msgspec.structs.asdict(bar)
    return {name: value for name, value in fields.items() if name not in ("timeframe", "open_time")}


# --- one minute ---------------------------------------------------------------------------------------------


def test_a_bar_has_exact_text_in_the_scale_of_the_exchange() -> None:
    trades = [
        raw(11, DAY + 10, "7.6120", "297"),
        raw(12, DAY + 20, "7.6110", "10.5", sold=True),
        raw(13, DAY + 30, "7.6130", "3"),
    ]
    around = (raw(10, DAY - 5), None, raw(14, DAY + MINUTE_MS), None)
    bar = derive(trades, DAY, around, STORED_MS)
    assert bar == Candle(
        timeframe="1m",
        open_time=DAY,
        open="7.6120",
        high="7.6130",
        low="7.6110",
        close="7.6130",
        volume="310.5",
        quote_volume="2363.51850",
        trades_count=3,
        taker_buy_volume="300",
        taker_buy_quote_volume="2283.6030",
        source=Source.TRADES,
        complete=True,
        first_id=11,
        last_id=13,
        feed_seq=0,
        market_seq=0,
        stored_ms=STORED_MS,
    )


def test_tiny_and_huge_numbers_are_written_without_an_exponent() -> None:
    trades = [raw(1, DAY, "0.00000001", "0.00000001"), raw(2, DAY, "100000000000", "300000000000")]
    bar = derive(trades, DAY, NOBODY, STORED_MS)
    assert bar is not None
    assert bar.low == "0.00000001"
    assert bar.volume == "300000000000.00000001"
    assert bar.quote_volume == "30000000000000000000000.0000000000000001"


def test_a_sum_beyond_sixty_digits_is_an_error_and_never_rounded() -> None:
    trades = [raw(1, DAY, "1", "9" * 40), raw(2, DAY, "1", "0." + "1" * 40)]
    with pytest.raises(Inexact):
        derive(trades, DAY, NOBODY, STORED_MS)


def test_open_and_close_follow_ids_not_times_or_arrival() -> None:
    trades = [raw(3, DAY + 5, "3"), raw(1, DAY + 9, "1"), raw(2, DAY + 1, "2")]
    bar = derive(trades, DAY, NOBODY, STORED_MS)
    assert bar is not None
    assert (bar.open, bar.close) == ("1", "3")


def test_equal_prices_of_different_scale_give_the_same_text_in_any_order() -> None:
    trades = [raw(1, DAY, "1.0"), raw(2, DAY, "1.00"), raw(3, DAY, "1.000")]
    one, other = derive(trades, DAY, NOBODY, STORED_MS), derive(trades[::-1], DAY, NOBODY, STORED_MS)
    assert one is not None
    assert one == other


def test_a_trade_that_is_not_market_covers_its_id_and_nothing_else() -> None:
    trades = [
        raw(5, DAY + 1, "100", "1"),
        raw(6, DAY + 2, "1", "999", order_type="INSURANCE_FUND"),
        raw(7, DAY + 3, "101", "2"),
    ]
    around = (raw(4, DAY - 1), None, raw(8, DAY + MINUTE_MS), None)
    bar = derive(trades, DAY, around, STORED_MS)
    assert bar is not None
    assert (bar.low, bar.volume, bar.trades_count, bar.complete) == ("100", "3", 2, True)


def test_a_minute_without_a_market_trade_has_no_bar() -> None:
    assert derive([], DAY, NOBODY, STORED_MS) is None
    assert derive([raw(1, DAY, order_type="ADL")], DAY, NOBODY, STORED_MS) is None
    assert from_tally(Tally(), "trade", DAY, NOBODY, STORED_MS) is None


def test_raw_trades_that_an_aggregate_covers_are_not_counted_again() -> None:
    fills = [raw(21, DAY, "5", "1.0"), raw(22, DAY, "5", "1.5")]
    both = [*fills, aggregate(9, 21, 22, DAY, "5", "2.5"), raw(23, DAY + 1, "6", "1.0")]
    bar = derive(both, DAY, NOBODY, STORED_MS)
    assert bar is not None
    assert (bar.volume, bar.trades_count, bar.first_id, bar.last_id) == ("3.5", 3, 21, 23)


def test_an_aggregate_of_the_minute_before_keeps_its_raw_trades_out_of_this_one() -> None:
    straddling = aggregate(9, 20, 21, DAY - 1, "5", "2.0")
    trades = [raw(21, DAY, "5", "1.0"), raw(22, DAY, "6", "1.0")]
    around = (raw(20, DAY - 1), straddling, raw(23, DAY + MINUTE_MS), None)
    bar = derive(trades, DAY, around, STORED_MS)
    assert bar is not None
    assert (bar.trades_count, bar.first_id, bar.open, bar.complete) == (1, 22, "6", True)


def test_a_tally_knows_when_an_aggregate_of_another_minute_covers_its_ids() -> None:
    tally = Tally()
    tally.add([raw(21, DAY), raw(22, DAY)])
    apart = aggregate(9, 19, 20, DAY - 1), aggregate(10, 23, 24, DAY + MINUTE_MS)
    assert not tally.overlapped((None, apart[0], None, apart[1]))
    assert tally.overlapped((None, aggregate(9, 20, 21, DAY - 1), None, apart[1]))
    assert tally.overlapped((None, apart[0], None, aggregate(10, 22, 24, DAY + MINUTE_MS)))


@shuffled
@given(histories(), st.randoms(use_true_random=False), st.booleans(), st.integers(0, 9))
def test_running_totals_equal_the_bar_of_all_trades_in_any_order_and_any_batches(
    history: tuple[list[Trade], list[Trade]], rng: random.Random, aggregates: bool, lost_in_ten: int
) -> None:
    stored = [trade for trade in history[aggregates] if rng.randrange(10) >= lost_in_ten]
    for minute in minutes(stored):
        trades = within(stored, minute)
        rng.shuffle(trades)
        tally = Tally()
        while trades:
            cut = rng.randint(1, len(trades))
            tally.add(trades[:cut])
            trades = trades[cut:]
        around = neighbours(stored, minute, minute + MINUTE_MS)
        kind = "aggTrade" if aggregates else "trade"
        assert from_tally(tally, kind, minute, around, STORED_MS) == derived(stored, minute)


@pytest.mark.parametrize("lost", range(7))
@pytest.mark.parametrize("aggregates", [False, True])
def test_running_totals_see_the_loss_of_any_one_trade(aggregates: bool, lost: int) -> None:
    """The trades have a pause in their raw ids between any two, which only consecutive aggTrades explain."""
    if aggregates:
        trades = [aggregate(7 + i, 10 * i, 10 * i + 3, DAY - 1 + i) for i in range(6)]
        trades.append(aggregate(13, 60, 63, DAY + MINUTE_MS))
    else:
        trades = [raw(7 + i, DAY - 1 + i) for i in range(6)] + [raw(13, DAY + MINUTE_MS)]
    kind = trades[0].kind
    for stored in (trades, trades[:lost] + trades[lost + 1 :]):
        tally = Tally()
        tally.add(within(stored, DAY))
        around = neighbours(stored, DAY, DAY + MINUTE_MS)
        bar = from_tally(tally, kind, DAY, around, STORED_MS)
        assert bar == derived(stored, DAY)
        assert bar is not None
        assert bar.complete == (stored is trades)


def covered_ids(stored: list[Trade]) -> set[int]:
    """Every id that nothing is missing at, one by one."""
    ids = {trade_id for trade in stored for trade_id in range(trade.first_id, trade.last_id + 1)}
    aggregates = {trade.trade_id: trade for trade in stored if trade.kind == "aggTrade"}
    for number, left in aggregates.items():
        if right := aggregates.get(number + 1):
            ids |= set(range(left.last_id, right.first_id))
    return ids


@shuffled
@given(histories(), st.randoms(use_true_random=False), st.sampled_from((0, 0, 1, 3, 6)))
def test_any_mixture_counts_each_id_once_and_sees_every_hole(
    history: tuple[list[Trade], list[Trade]], rng: random.Random, lost_in_ten: int
) -> None:
    stored = [trade for kind in history for trade in kind if rng.randrange(10) >= lost_in_ten]
    rng.shuffle(stored)
    for minute in minutes(stored):
        trades = within(stored, minute)
        counted = [trade for trade in trades if trade.kind == "aggTrade"]
        by_aggregates = {i for trade in counted for i in range(trade.first_id, trade.last_id + 1)}
        counted += [trade for trade in trades if trade.kind == "trade" and trade.trade_id not in by_aggregates]
        counted = [trade for trade in counted if trade.order_type == "MARKET"]
        bar = derived(stored, minute)
        if not counted:
            assert bar is None
            continue
        assert bar is not None
        assert Decimal(bar.volume) == sum(Decimal(trade.quantity) for trade in counted)
        assert bar.taker_buy_quote_volume is not None
        assert Decimal(bar.taker_buy_quote_volume) == sum(
            Decimal(trade.price) * Decimal(trade.quantity) for trade in counted if not trade.is_buyer_maker
        )
        ids = [i for trade in counted for i in range(trade.first_id, trade.last_id + 1)]
        assert bar.trades_count == len(ids) == len(set(ids))

        before = [trade.last_id for trade in stored if trade.time_ms < minute]
        after = [trade.first_id for trade in stored if trade.time_ms >= minute + MINUTE_MS]
        proven = bool(before and after) and set(range(max(before), min(after))) <= covered_ids(stored)
        assert bar.complete == proven


@shuffled
@given(histories(), st.randoms(use_true_random=False), st.sampled_from((1, 3, 6)))
def test_a_complete_bar_says_what_the_exchange_saw_whatever_was_lost_elsewhere(
    history: tuple[list[Trade], list[Trade]], rng: random.Random, lost_in_ten: int
) -> None:
    stored = [trade for kind in history for trade in kind if rng.randrange(10) >= lost_in_ten]
    for minute in minutes(stored):
        bar, truth = derived(stored, minute), derived(history[0], minute)
        if bar is not None and bar.complete:
            assert truth is not None
            for field in ("open", "high", "low", "close", "volume", "quote_volume", "trades_count"):
                assert getattr(bar, field) == getattr(truth, field)


@shuffled
@given(histories(), st.booleans())
def test_nothing_lost_means_complete_between_the_first_and_the_last_minute(
    history: tuple[list[Trade], list[Trade]], aggregates: bool
) -> None:
    stored = history[aggregates]
    for minute in minutes(stored):
        if bar := derived(stored, minute):
            ends = (minutes(stored)[0], minutes(stored)[-1])
            assert bar.complete == (minute not in ends)


def test_the_last_minute_is_incomplete_while_no_later_trade_is_known() -> None:
    trades = [aggregate(7, 101, 104, DAY + 1), aggregate(8, 105, 105, DAY + 2)]
    before = (None, aggregate(6, 100, 100, DAY - 1), None, None)
    bar = derive(trades, DAY, before, STORED_MS)
    assert bar is not None
    assert not bar.complete
    closed = (*before[:3], aggregate(9, 106, 110, DAY + MINUTE_MS))
    bar = derive(trades, DAY, closed, STORED_MS)
    assert bar is not None
    assert bar.complete


@pytest.mark.parametrize("number", [8, 9])
def test_ids_between_aggregates_are_the_exchanges_own_only_if_the_aggregates_follow(number: int) -> None:
    trades = [aggregate(7, 101, 104, DAY + 1), aggregate(number, 107, 108, DAY + 2)]
    around = (
        None,
        aggregate(6, 100, 100, DAY - 1),
        None,
        aggregate(number + 1, 111, 112, DAY + MINUTE_MS),
    )
    bar = derive(trades, DAY, around, STORED_MS)
    assert bar is not None
    assert bar.complete == (number == 8)
    assert bar.trades_count == 6


def test_aggregates_from_rest_close_a_hole_in_raw_trades() -> None:
    holed = [raw(11, DAY + 1, "5", "1"), raw(15, DAY + 5, "5", "1")]
    around = (raw(10, DAY - 1), None, raw(16, DAY + MINUTE_MS), None)
    before = derive(holed, DAY, around, STORED_MS)
    repaired = derive([*holed, aggregate(3, 12, 14, DAY + 3, "6", "3")], DAY, around, STORED_MS)
    assert before is not None
    assert repaired is not None
    assert (before.complete, before.volume) == (False, "2")
    assert (repaired.complete, repaired.volume, repaired.trades_count, repaired.high) == (True, "5", 5, "6")


# --- longer bars --------------------------------------------------------------------------------------------


def minute_bar(index: int, first_id: int | None, last_id: int | None, **changes: object) -> Candle:
    count = 1 if first_id is None or last_id is None else last_id - first_id + 1
    bar = Candle(
        timeframe="1m",
        open_time=DAY + index * MINUTE_MS,
        open="10.0",
        high=f"1{index + 1}.0",
        low=f"{9 - index}.5",
        close=f"10.{index}",
        volume="1.25",
        quote_volume="12.5",
        trades_count=count,
        taker_buy_volume="0.5",
        taker_buy_quote_volume="5",
        source=Source.TRADES,
        complete=True,
        first_id=first_id,
        last_id=last_id,
        feed_seq=3,
        market_seq=4,
        stored_ms=5,
    )
    return msgspec.structs.replace(bar, **changes)


FIVE = [minute_bar(index, 10 * index, 10 * index + 9) for index in range(5)]


def rolled(children: list[Candle]) -> Candle:
    bar = roll_up(children, "5m", DAY, STORED_MS)
    assert bar is not None
    return bar


def test_a_longer_bar_is_the_exact_sum_of_its_children() -> None:
    assert rolled(FIVE[::-1]) == Candle(
        timeframe="5m",
        open_time=DAY,
        open="10.0",
        high="15.0",
        low="5.5",
        close="10.4",
        volume="6.25",
        quote_volume="62.5",
        trades_count=50,
        taker_buy_volume="2.5",
        taker_buy_quote_volume="25",
        source=Source.TRADES,
        complete=True,
        first_id=0,
        last_id=49,
        feed_seq=0,
        market_seq=0,
        stored_ms=STORED_MS,
    )


def test_without_children_there_is_no_longer_bar() -> None:
    assert roll_up([], "5m", DAY, STORED_MS) is None


def test_what_one_child_does_not_know_the_longer_bar_does_not_know() -> None:
    unknown = msgspec.structs.replace(
        FIVE[2], quote_volume=None, trades_count=None, taker_buy_volume=None, taker_buy_quote_volume=None
    )
    bar = rolled([*FIVE[:2], unknown, *FIVE[3:]])
    assert (bar.quote_volume, bar.trades_count) == (None, None)
    assert (bar.taker_buy_volume, bar.taker_buy_quote_volume) == (None, None)
    assert bar.volume == "6.25"


def test_one_incomplete_child_makes_the_longer_bar_incomplete() -> None:
    for index in range(5):
        children = list(FIVE)
        children[index] = msgspec.structs.replace(FIVE[index], complete=False)
        assert not rolled(children).complete


@pytest.mark.parametrize("missing", [{0}, {4}, {2}, {0, 1}, {1, 3}, {0, 2, 4}, {1, 2, 3, 4}])
def test_minutes_without_trades_leave_the_longer_bar_complete(missing: set[int]) -> None:
    children, next_id = [], FIRST_ID
    for index in sorted({0, 1, 2, 3, 4} - missing):
        children.append(minute_bar(index, next_id, next_id + 3))
        next_id += 4
    assert rolled(children).complete


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_minute_whose_trades_were_lost_makes_the_longer_bar_incomplete(index: int) -> None:
    assert not rolled(FIVE[:index] + FIVE[index + 1 :]).complete


@pytest.mark.parametrize("missing", [0, 4])
def test_a_closed_kline_proves_nothing_about_the_minutes_beside_it(missing: int) -> None:
    klines = [msgspec.structs.replace(bar, source=Source.KLINE) for bar in FIVE]
    assert rolled(klines).complete
    assert not rolled(klines[:missing] + klines[missing + 1 :]).complete


def test_rest_bars_without_ids_are_complete_only_all_together() -> None:
    rest = [minute_bar(index, None, None, source=Source.REST) for index in range(5)]
    bar = rolled(rest)
    assert (bar.complete, bar.source, bar.first_id, bar.last_id) == (True, Source.REST, None, None)
    assert not rolled([*rest[:2], *rest[3:]]).complete


def test_a_kline_without_trades_does_not_hide_the_ids_of_its_siblings() -> None:
    empty = minute_bar(0, None, None, source=Source.KLINE, trades_count=0, volume="0")
    bar = rolled([empty, *FIVE[1:]])
    assert (bar.first_id, bar.last_id, bar.trades_count) == (10, 49, 40)


def test_the_weakest_child_names_the_source() -> None:
    klines = [msgspec.structs.replace(bar, source=Source.KLINE) for bar in FIVE]
    rest = [msgspec.structs.replace(bar, source=Source.REST) for bar in FIVE]
    assert rolled(klines).source == Source.KLINE
    assert rolled([*rest[:4], klines[4]]).source == Source.KLINE
    assert rolled([*rest[:3], FIVE[3], klines[4]]).source == Source.TRADES


def test_an_incomplete_longer_bar_never_outranks_the_complete_one_of_weaker_children() -> None:
    klines = [msgspec.structs.replace(bar, source=Source.KLINE) for bar in FIVE]
    repaired = [*klines[:2], FIVE[2], *klines[3:]]
    assert rolled(klines[:2] + klines[3:]).rank < rolled(repaired).rank


@shuffled
@given(histories(DAY - 4 * MINUTE_MS, orders=40, longest_pause_ms=150_000), st.booleans())
def test_rolling_up_equals_deriving_from_all_trades_of_the_longer_bar(
    history: tuple[list[Trade], list[Trade]], aggregates: bool
) -> None:
    trades = history[aggregates]
    length = 5 * MINUTE_MS
    for start in {trade.time_ms - trade.time_ms % length for trade in trades}:
        children = [derived(trades, start + i * MINUTE_MS) for i in range(5)]
        bar = roll_up([child for child in children if child], "5m", start, STORED_MS)
        whole = derived(trades, start, length)
        if whole is None:
            assert bar is None
            continue
        assert bar is not None
        ids = {"first_id", "last_id"}  # ids of trades that are not MARKET may lie outside every child
        assert {k: v for k, v in figures(bar).items() if k not in ids | {"complete"}} == {
            k: v for k, v in figures(whole).items() if k not in ids | {"complete"}
        }
        assert bar.complete <= whole.complete


@shuffled
@given(histories(DAY, orders=40, longest_pause_ms=150_000), st.randoms(use_true_random=False), st.booleans())
def test_a_complete_longer_bar_never_hides_a_loss(
    history: tuple[list[Trade], list[Trade]], rng: random.Random, aggregates: bool
) -> None:
    stored = [trade for trade in history[aggregates] if rng.randrange(12)]
    length = 5 * MINUTE_MS
    for start in {trade.time_ms - trade.time_ms % length for trade in stored}:
        children = [derived(stored, start + i * MINUTE_MS) for i in range(5)]
        bar = roll_up([child for child in children if child], "5m", start, STORED_MS)
        truth = derived(history[0], start, length)
        if bar is not None and bar.complete:
            assert truth is not None
            assert (bar.volume, bar.trades_count) == (truth.volume, truth.trades_count)


def test_all_market_trades_and_no_lost_one_give_complete_longer_bars() -> None:
    trades = [raw(FIRST_ID + i, DAY + 37_000 * i) for i in range(-20, 300)]
    levels = {DAY + i * MINUTE_MS: derived(trades, DAY + i * MINUTE_MS) for i in range(180)}
    bars = {start: bar for start, bar in levels.items() if bar}
    for timeframe, length in (("5m", 5), ("15m", 15), ("1h", 60)):
        starts = range(DAY, DAY + 180 * MINUTE_MS, length * MINUTE_MS)
        rolled_up = {
            start: roll_up(
                [bar for t, bar in bars.items() if start <= t < start + length * MINUTE_MS],
                timeframe,
                start,
                0,
            )
            for start in starts
        }
        bars = {start: bar for start, bar in rolled_up.items() if bar}
        assert all(bar.complete for bar in bars.values())
        assert sum(bar.trades_count or 0 for bar in bars.values()) == len(within(trades, DAY, 180 * MINUTE_MS))
