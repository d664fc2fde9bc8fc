"""A minute of Binance as it is: the real recording where there is one, its seeded twin everywhere."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from data_manager.actors.ingest.depth import Break, Chain
from data_manager.actors.ingest.events import DIFF_DEPTH, Decoder
from data_manager.actors.ingest.sampling import conflate
from data_manager.storage.protocols import Event
from data_manager.storage.records import BookTicker, Candle, OpenCandle, Symbol, Trade
from data_manager.system.frames import Frame, position
from data_manager.system.settings import Settings
from tests.fixtures.recording import SYMBOLS, write_recording

REAL = os.environ.get("MARKET_RECORDINGS")
RECEIVED_US = 1_626_992_800_000_000
TYPES = {"depthUpdate": 764, "bookTicker": 613, "aggTrade": 91, "kline": 67}


@pytest.fixture(
    params=[
        "twin",
        pytest.param("real", marks=pytest.mark.skipif(REAL is None, reason="MARKET_RECORDINGS names no folder")),
    ]
)
def messages(request: pytest.FixtureRequest, tmp_path: Path) -> list[bytes]:
    if request.param == "real":
        path = Path(REAL or "") / "binance_futures_ws_2021-07-22.ndjson"
    else:
        path = tmp_path / "recording.ndjson"
        write_recording(path)
    return path.read_bytes().splitlines()


class Ingest:
    """What the recording's events become, symbol by symbol."""

    def __init__(self, messages: list[bytes], **overrides: str) -> None:
        settings = Settings(**overrides)  # type: ignore[arg-type]
        decoders = {s.name: Decoder(Symbol(s.name), settings) for s in SYMBOLS}
        self.chains = {s.name: Chain() for s in SYMBOLS}
        self.types: Counter[str] = Counter()
        self.skipped = 0
        self.events: dict[str, list[Event]] = {s.name: [] for s in SYMBOLS}
        self.breaks: list[Break] = []
        for number, raw in enumerate(messages):
            symbol = next(s.name for s in SYMBOLS if f'"s":"{s.name}"'.encode() in raw)
            decoded = decoders[symbol].decode(Frame(position(number), RECEIVED_US, raw), 1, 1)
            self.types[decoded.event_type] += 1
            assert decoded.book is None
            if isinstance(decoded.outcome, Event):
                self.events[symbol].append(decoded.outcome)
            else:
                assert decoded.outcome == DIFF_DEPTH
                assert decoded.update is not None
                self.skipped += 1
                self.breaks += self.chains[symbol].observe(decoded.update, number)

    @property
    def all_events(self) -> list[Event]:
        return [event for events in self.events.values() for event in events]


def test_every_event_is_typed_and_none_is_quarantined(messages: list[bytes]) -> None:
    ingest = Ingest(messages)
    assert ingest.types == TYPES
    assert len(ingest.all_events) + ingest.skipped == len(messages) == 1535


def test_no_diff_update_is_taken_for_a_snapshot_and_every_chain_is_unbroken(messages: list[bytes]) -> None:
    ingest = Ingest(messages)
    assert ingest.skipped == 764
    assert ingest.breaks == []
    assert sum(chain.unbroken for chain in ingest.chains.values()) == 764
    assert all((chain.broken, chain.late, chain.pending) == (0, 0, 0) for chain in ingest.chains.values())


def test_no_diff_update_is_taken_for_a_snapshot_without_its_streams_name_either(
    messages: list[bytes],
) -> None:
    bare = [raw[raw.index(b'"data":') + len(b'"data":') : -1] for raw in messages]
    ingest = Ingest(bare)
    assert ingest.skipped == 764


def test_one_update_left_out_breaks_one_chain_once(messages: list[bytes]) -> None:
    depth = [i for i, raw in enumerate(messages) if b"SUSHIUSDT" in raw and b"depthUpdate" in raw]
    ingest = Ingest(messages[: depth[5]] + messages[depth[5] + 1 :])
    chain = ingest.chains["SUSHIUSDT"]
    assert len(ingest.breaks) + len(chain.expire(10**9)) == 1
    assert (chain.broken, chain.pending) == (1, 0)
    assert sum(other.broken for other in ingest.chains.values()) == 1


def test_each_agg_trade_is_one_trade(messages: list[bytes]) -> None:
    ingest = Ingest(messages)
    ids = {
        symbol: {event.record.trade_id for event in events if isinstance(event.record, Trade)}
        for symbol, events in ingest.events.items()
    }
    assert {symbol: len(found) for symbol, found in ids.items()} == {
        "SUSHIUSDT": 40, "CTKUSDT": 38, "AKROUSDT": 8, "KEEPUSDT": 5,
    }  # fmt: skip


def test_four_bars_close(messages: list[bytes]) -> None:
    records = [event.record for event in Ingest(messages).all_events]
    closed = [record for record in records if isinstance(record, Candle)]
    assert [bar.open_time for bar in closed] == [1_626_992_700_000] * 4
    assert len({(type(r), r.open_time) for r in records if isinstance(r, Candle | OpenCandle)}) == 3


def test_book_tickers_are_sampled_to_one_a_second(messages: list[bytes]) -> None:
    kept, skipped = 0, 0
    for events in Ingest(messages).events.values():
        winners, counts = conflate([event for event in events if isinstance(event.record, BookTicker)])
        kept += len(winners)
        skipped += sum(count.skipped for count in counts.values())
    assert (kept, skipped) == (84, 613 - 84)


def test_all_book_tickers_are_kept_in_full(messages: list[bytes]) -> None:
    ingest = Ingest(messages, store_book_ticker="full")
    tickers = [event for event in ingest.all_events if isinstance(event.record, BookTicker)]
    kept, counts = conflate(tickers)
    assert (len(kept), counts) == (613, {})
