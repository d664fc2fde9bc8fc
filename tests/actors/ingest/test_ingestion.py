"""What one write of ingest does: rows, ledger, quarantine, bars; on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_manager.actors.ingest.events import Decoded
from data_manager.actors.ingest.ingestion import PROCESSING, STORE_REFUSES, Ingestion, Report
from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import MarketStore, Query, Write, Written
from data_manager.storage.records import BookTicker, Candle, Depth, Funding, Quarantined, Record, Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.delivery import Delivery
from data_manager.system.errors import RowRefused, StoreUnavailable
from data_manager.system.frames import Batch, Frame, encode, position
from data_manager.system.settings import Settings
from tests.actors.ingest.examples import EXAMPLES, SYMBOL, bare, enveloped, event

BTC = Symbol(SYMBOL)
FEED = 1_700_000_000_000_000_000


class FakeClock:
    """Stands still unless told; the wall is far beyond every example's time."""

    def __init__(self) -> None:
        self.wall_us = 1_800_000_000_000_000
        self.seconds = 100.0

    def now_us(self) -> int:
        return self.wall_us

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall_us += int(seconds * 1e6)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    with closing(SqliteMarketStore(tmp_path / "market", clock=SystemClock())) as store:
        yield store


@pytest.fixture
def ingestion(store: SqliteMarketStore, clock: FakeClock) -> Ingestion:
    return Ingestion(BTC, Settings(), store, clock)


def delivery(market_seq: int, *frames: Frame, incarnation: int = FEED) -> Delivery:
    return Delivery(encode(Batch(incarnation, 0, list(frames))), market_seq, 0)


def frame(number: int, raw: bytes) -> Frame:
    return Frame(position(number), 1_799_999_999_990_000, raw)


def trades(*numbers: int) -> list[Frame]:
    return [frame(number, bare(event("trade", t=number))) for number in numbers]


def rows(store: MarketStore, record: type[Record]) -> list[Record]:
    return list(store.rows(BTC, record, Query(limit=10_000)))


def total(store: MarketStore) -> Counts:
    return store.ledger(BTC).total


def test_each_event_of_a_delivery_is_a_row_and_is_counted(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    report = ingestion.store([delivery(1, *trades(1, 2)), delivery(2, *trades(3))])
    assert [row.trade_id for row in rows(store, Trade)] == [1, 2, 3]  # type: ignore[attr-defined]
    assert report.counts == {"trade": Counts(received=3, stored=3)}
    assert total(store) == Counts(received=3, stored=3)


def test_a_row_names_the_event_and_the_batch_that_made_it(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    ingestion.store([delivery(41, *trades(7))])
    (row,) = rows(store, Trade)
    assert (row.feed_seq, row.market_seq) == (position(7), 41)  # type: ignore[attr-defined]


def test_a_delivery_that_comes_again_is_redelivered_and_duplicate(
    ingestion: Ingestion, store: SqliteMarketStore
) -> None:
    ingestion.store([delivery(1, *trades(1, 2))])
    ingestion.store([delivery(1, *trades(1, 2))])
    assert total(store) == Counts(received=4, stored=2, duplicate=2, redelivered=2)


def test_the_same_delivery_twice_in_one_write_is_redelivered(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    ingestion.store([delivery(1, *trades(1, 2)), delivery(1, *trades(1, 2))])
    assert total(store) == Counts(received=4, stored=2, duplicate=2, redelivered=2)


def test_an_event_cut_into_another_batch_is_recognised_by_its_position(
    ingestion: Ingestion, store: SqliteMarketStore
) -> None:
    ingestion.store([delivery(1, *trades(1, 2, 3))])
    ingestion.store([delivery(2, *trades(3, 4))])
    assert total(store) == Counts(received=5, stored=4, duplicate=1, redelivered=1)


def test_a_new_process_recognises_what_the_old_one_wrote(store: SqliteMarketStore, clock: FakeClock) -> None:
    Ingestion(BTC, Settings(), store, clock).store([delivery(1, *trades(1, 2))])
    Ingestion(BTC, Settings(), store, clock).store([delivery(1, *trades(1, 2)), delivery(2, *trades(3))])
    assert total(store) == Counts(received=5, stored=3, duplicate=2, redelivered=2)


def test_a_late_batch_that_was_never_written_is_no_redelivery(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    ingestion.store([delivery(2, *trades(3, 4))])
    ingestion.store([delivery(1, *trades(1, 2))])
    assert total(store) == Counts(received=4, stored=4)


def test_the_same_trade_published_twice_is_a_copy_and_no_redelivery(
    ingestion: Ingestion, store: SqliteMarketStore
) -> None:
    copy = frame(2, bare(event("trade", t=1)))
    ingestion.store([delivery(1, *trades(1), copy)])
    assert total(store) == Counts(received=2, stored=1, duplicate=1)


def test_a_feed_that_was_made_anew_counts_its_positions_anew(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    ingestion.store([delivery(1, *trades(1, 2))])
    again = [frame(1, bare(event("trade", t=11))), frame(2, bare(event("trade", t=12)))]
    ingestion.store([delivery(1, *again, incarnation=FEED + 1)])
    assert total(store) == Counts(received=4, stored=4)


def test_what_cannot_be_used_goes_to_quarantine_with_its_bytes(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    bad = frame(2, bare(event("trade", p="a lot")))
    report = ingestion.store([delivery(1, *trades(1), bad, *trades(3))])
    (row,) = rows(store, Quarantined)
    assert (row.raw, row.reason, row.feed_seq) == (bad.raw, "bad_number", bad.position)  # type: ignore[attr-defined]
    assert report.failures == [("trade", "bad_number")]
    assert total(store) == Counts(received=3, stored=2, quarantined=1)


def test_a_quarantined_event_that_comes_again_adds_no_row(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    for _ in range(2):
        ingestion.store([delivery(1, frame(1, b"not json"))])
    assert len(rows(store, Quarantined)) == 1
    assert total(store) == Counts(received=2, quarantined=1, duplicate=1, redelivered=1)


def test_a_payload_that_no_router_wrote_is_quarantined_whole(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    ingestion.store([Delivery(b"\xc1 garbage", 9, 5_000_000)])
    (row,) = rows(store, Quarantined)
    assert (row.raw, row.reason) == (b"\xc1 garbage", "not_json")  # type: ignore[attr-defined]


class _Broken(Ingestion):
    """Its decoder has a bug for one trade."""

    attempts = 0

    def _decode(self, frame: Frame, market_seq: int, now: int) -> Decoded:
        decoder, self._decoder = self._decoder, self  # type: ignore[assignment]
        try:
            self._sound = decoder
            return super()._decode(frame, market_seq, now)
        finally:
            self._decoder = decoder

    def decode(self, frame: Frame, market_seq: int, now: int) -> Decoded:
        if b'"t":2,' in frame.raw:
            self.attempts += 1
            raise ZeroDivisionError("a bug")
        return self._sound.decode(frame, market_seq, now)


def test_an_event_whose_processing_raises_is_tried_three_times_and_then_quarantined_alone(
    store: SqliteMarketStore, clock: FakeClock
) -> None:
    ingestion = _Broken(BTC, Settings(), store, clock)
    ingestion.store([delivery(1, *trades(1, 2, 3))])
    (row,) = rows(store, Quarantined)
    assert (row.reason, ingestion.attempts) == (PROCESSING, 3)  # type: ignore[attr-defined]
    assert "ZeroDivisionError: a bug" in row.detail  # type: ignore[attr-defined]
    assert [trade.trade_id for trade in rows(store, Trade)] == [1, 3]  # type: ignore[attr-defined]
    assert total(store) == Counts(received=3, stored=2, quarantined=1)


class _Particular(SqliteMarketStore):
    """Refuses one trade, as a stricter back end may; everything else is SQLite's."""

    def write(self, symbol: Symbol, write: Write) -> Written:
        for index, one in enumerate(write.events):
            if isinstance(one.record, Trade) and one.record.trade_id == 2:
                raise RowRefused(index, "no twos")
        return super().write(symbol, write)


def test_a_row_that_the_store_refuses_is_quarantined_with_its_words_and_its_neighbours_stay(
    tmp_path: Path, clock: FakeClock
) -> None:
    with closing(_Particular(tmp_path / "market", clock=SystemClock())) as store:
        report = Ingestion(BTC, Settings(), store, clock).store([delivery(1, *trades(1, 2, 3))])
        (row,) = rows(store, Quarantined)
        assert (row.reason, row.detail) == (STORE_REFUSES, "no twos")  # type: ignore[attr-defined]
        assert report.failures == [("trade", STORE_REFUSES)]
        assert total(store) == Counts(received=3, stored=2, quarantined=1)


class _Flaky(SqliteMarketStore):
    """Away as long as `away` says."""

    away = False

    def write(self, symbol: Symbol, write: Write) -> Written:
        if self.away:
            raise StoreUnavailable("away")
        return super().write(symbol, write)


def test_after_a_failed_write_the_same_batch_is_written_as_if_nothing_had_happened(
    tmp_path: Path, clock: FakeClock
) -> None:
    with closing(_Flaky(tmp_path / "market", clock=SystemClock())) as store:
        ingestion = Ingestion(BTC, Settings(), store, clock)
        ingestion.store([delivery(1, *trades(1))])
        store.away = True
        with pytest.raises(StoreUnavailable):
            ingestion.store([delivery(2, *trades(2))])
        store.away = False
        ingestion.store([delivery(2, *trades(2))])
        assert total(store) == Counts(received=2, stored=2)


def test_sampled_events_are_conflated_and_the_newest_book_is_kept(
    ingestion: Ingestion, store: SqliteMarketStore
) -> None:
    tickers = [frame(n, bare(event("book ticker", u=n, T=1760918400000 + 10 * n))) for n in range(1, 6)]
    books = [frame(10 + n, bare(event("depth of 20 levels", u=8812345679100 + n))) for n in range(3)]
    report = ingestion.store([delivery(1, *tickers, *books)])
    assert report.counts["bookTicker"] == Counts(received=5, stored=1, skipped=4)
    (row,) = rows(store, BookTicker)
    assert row.update_id == 5  # type: ignore[attr-defined]
    assert len(rows(store, Depth)) == 1
    book = store.latest_book(BTC)
    assert book is not None
    assert book.last_update_id == 8812345679102


def test_a_diff_update_is_counted_never_stored(ingestion: Ingestion, store: SqliteMarketStore) -> None:
    diff = EXAMPLES["diff depth"]
    report = ingestion.store([delivery(1, frame(1, enveloped(diff.data, diff.stream)))])
    assert report.counts == {"depthUpdate": Counts(received=1, skipped=1)}
    assert report.depth_updates == 1
    assert rows(store, Depth) == []


def test_a_break_in_the_diff_chain_is_reported_after_its_grace_with_both_ids(
    ingestion: Ingestion, clock: FakeClock
) -> None:
    def update(number: int, previous: int, final: int) -> Frame:
        return frame(number, enveloped(event("diff depth", pu=previous, u=final), "btcusdt@depth@100ms"))

    assert ingestion.store([delivery(1, update(1, 10, 20), update(2, 25, 30))]).breaks == []
    assert ingestion.derive().breaks == []
    clock.pass_by(3)
    (gap,) = ingestion.derive().breaks
    assert (gap.last_id, gap.next_previous_id) == (20, 25)


def test_the_rate_that_a_mark_price_announces_becomes_a_prediction_that_is_not_counted(
    ingestion: Ingestion, store: SqliteMarketStore
) -> None:
    marks = [frame(n, bare(event("mark price", E=1760918402000 + n * 1000))) for n in range(1, 4)]
    report = ingestion.store([delivery(1, *marks)])
    (row,) = rows(store, Funding)
    assert (row.funding_rate, row.settled) == ("0.00010000", False)  # type: ignore[attr-defined]
    assert set(report.counts) == {"markPriceUpdate"}


def test_a_bar_is_derived_once_its_minute_is_over_and_complete_once_the_next_trade_proves_it(
    ingestion: Ingestion, store: SqliteMarketStore, clock: FakeClock
) -> None:
    minute = 1760918400000

    def at(number: int, offset_ms: int) -> Frame:
        return frame(number, bare(event("trade", t=number, T=minute + offset_ms)))

    ingestion.store([delivery(1, at(1, -5_000), at(2, 1_000), at(3, 59_000), at(4, 61_000))])
    clock.pass_by(1)
    report = ingestion.derive()
    assert report.derived["1m"] >= 2
    bars = {bar.open_time: bar for bar in rows(store, Candle) if bar.timeframe == "1m"}  # type: ignore[attr-defined]
    assert bars[minute].complete  # type: ignore[attr-defined]
    assert bars[minute].trades_count == 2  # type: ignore[attr-defined]
    assert not bars[minute + 60_000].complete  # type: ignore[attr-defined]


def test_how_long_each_event_waited_is_reported_once_per_event(ingestion: Ingestion, clock: FakeClock) -> None:
    clock.wall_us = 1_799_999_999_990_000 + 7_000
    report = ingestion.store([delivery(1, *trades(1, 2, 3))])
    assert report.waits_ms == {7: 3}


PAYLOADS = st.sampled_from(
    [bare(event("trade", t=number)) for number in range(5)]
    + [bare(EXAMPLES[name].data) for name in ("ticker", "book ticker", "kline", "mark price", "force order")]
    + [b"junk", b"{}", bare(event("trade", p="x"))]
)


@hypothesis_settings(
    derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(PAYLOADS, min_size=1, max_size=6), min_size=1, max_size=6), data=st.data())
def test_however_batches_are_repeated_the_ledger_balances_and_counts_each_event_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], data: st.DataObject
) -> None:
    deliveries, number = [], 0
    for market_seq, payloads in enumerate(batches, 1):
        frames = [frame(number + i, payload) for i, payload in enumerate(payloads, 1)]
        number += len(payloads)
        deliveries.append(delivery(market_seq, *frames))
    order = data.draw(st.lists(st.sampled_from(deliveries), min_size=len(deliveries), max_size=15))
    with closing(SqliteMarketStore(tmp_path_factory.mktemp("market"), clock=SystemClock())) as store:
        for start in range(0, len(order), 2):
            Ingestion(BTC, Settings(), store, FakeClock()).store(order[start : start + 2])
        ledger = store.ledger(BTC)
        assert all(counts.balanced for counts in ledger.by_type.values())
        seen = {msgspec.structs.astuple(one) for one in order}
        distinct = sum(len(batches[one[1] - 1]) for one in seen)  # type: ignore[operator]
        assert ledger.total.received - ledger.total.redelivered == distinct


def test_nothing_is_reported_for_nothing(ingestion: Ingestion) -> None:
    assert ingestion.derive() == Report()
