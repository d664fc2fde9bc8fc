from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest.events import BY_POLICY, DIFF_DEPTH, TIMEFRAME, Decoded, Decoder, Skipped
from data_manager.actors.ingest.quarantine import REASONS, Quarantine, quarantined
from data_manager.storage.protocols import Event
from data_manager.storage.records import (
    BookTicker,
    Candle,
    Depth,
    Funding,
    Liquidation,
    MarkPrice,
    OpenCandle,
    Quarantined,
    Record,
    Symbol,
    Ticker,
    Trade,
)
from data_manager.system.event_types import EVENT_TYPES
from data_manager.system.frames import Frame
from data_manager.system.settings import Settings
from tests.actors.ingest.examples import (
    EXAMPLES,
    PUBLISHED_MS,
    RECEIVED_US,
    SYMBOL,
    SYMBOLLESS,
    bare,
    combined,
    enveloped,
    event,
)

POSITION, MARKET_SEQ, NOW_MS = 4096, 17, 1_760_918_400_150
ORIGIN = (POSITION, MARKET_SEQ, NOW_MS)
FULL = {
    "store_depth": "full",
    "store_book_ticker": "full",
    "store_ticker": "full",
    "store_mark_price": "full",
    "store_force_order": "full",
}
OFF = dict.fromkeys(FULL, "off")

pure = settings(derandomize=True, deadline=None, max_examples=200)


def decoder(symbol: str = SYMBOL, **overrides: Any) -> Decoder:
    return Decoder(Symbol(symbol), Settings(**{**FULL, **overrides}))


def decode(raw: bytes, by: Decoder | None = None, received_us: int = RECEIVED_US) -> Decoded:
    return (by or decoder()).decode(Frame(POSITION, received_us, raw), MARKET_SEQ, NOW_MS)


def record_of(decoded: Decoded) -> Record:
    assert isinstance(decoded.outcome, Event), decoded.outcome
    assert decoded.outcome.event_type == decoded.event_type
    return decoded.outcome.record


def reason_of(decoded: Decoded) -> str:
    assert isinstance(decoded.outcome, Quarantine), decoded.outcome
    assert decoded.outcome.sentence.endswith(".")
    return decoded.outcome.reason


def after_a_trade(price: str = "110850.40", **overrides: Any) -> Decoder:
    """A decoder that knows the symbol's price at the time of the examples."""
    ready = decoder(**overrides)
    record_of(decode(bare(event("trade", p=price)), ready))
    return ready


# -- the contract's examples, in every shape ----------------------------------------------------------------


LEVELS = EXAMPLES["depth"].data
TWENTY = EXAMPLES["depth of 20 levels"].data


def levels(pairs: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((price, quantity) for price, quantity in pairs)


TICKER_TEXTS = ("109330.10", "111480.00", "108905.50", "110850.40", "142318.551", "15656857610.42")

EXPECTED: dict[str, Record | Skipped] = {
    "trade": Trade(
        "trade", 6765432101, 1760918400120, "110850.40", "0.012", False, 6765432101, 6765432101, "MARKET",
        *ORIGIN,
    ),
    "aggTrade": Trade(
        "aggTrade", 2893746512, 1760918400120, "110850.40", "0.350", True, 6765432095, 6765432101, "MARKET",
        *ORIGIN,
    ),
    "ticker": Ticker(
        "24hrTicker", 1760918401004, 1760918401004, *TICKER_TEXTS, "1520.30", "1.391", 4427900, *ORIGIN
    ),
    "mini ticker": Ticker(
        "24hrMiniTicker", 1760918401004, 1760918401004, *TICKER_TEXTS, None, None, None, *ORIGIN
    ),
    "depth": Depth(
        8812345679044, 1760918400198, 8812345679044, levels(LEVELS["b"]), levels(LEVELS["a"]), *ORIGIN
    ),
    "depth of 20 levels": Depth(
        8812345679100, 1760918400298, 8812345679100, levels(TWENTY["b"]), levels(TWENTY["a"]), *ORIGIN
    ),
    "diff depth": DIFF_DEPTH,
    "partial book": Depth(
        76543210987, PUBLISHED_MS, 76543210987, (("110850.30", "0.512"),), (("110850.40", "0.377"),), *ORIGIN
    ),
    "mark price": MarkPrice(
        1760918402000, 1760918402000, "110846.71500000", "110898.02333333", "110712.44180000", "0.00010000",
        1760947200000, *ORIGIN,
    ),
    "kline": Candle(
        "1h", 1760918400000, "110851.00", "111180.00", "110702.30", "111020.10", "6120.443", "679315204.11",
        186440, "3188.102", "353881002.70", "kline", True, 6765432001, 6765618440, *ORIGIN,
    ),
    "book ticker": BookTicker(
        8812345679100, 1760918400257, 8812345679100, "110850.30", "4.498", "110850.40", "3.377", *ORIGIN
    ),
    "funding rate": Funding(1760947200000, 1760918400000, "0.00010000", "110846.71500000", False, *ORIGIN),
    "force order": Liquidation(
        1760918400455, "SELL", "110210.00", "0.214", "110402.10", "FILLED", "0.214", "0.214", *ORIGIN
    ),
}  # fmt: skip


def test_every_example_has_an_expectation() -> None:
    assert EXPECTED.keys() == EXAMPLES.keys()
    assert {example.label for example in EXAMPLES.values()} == EVENT_TYPES.keys() - {"unknown"}


NEED_A_STREAM = (*SYMBOLLESS, "depth")  # three levels without a stream's name are a diff: tested below


@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in EXAMPLES for shape in ("enveloped", "combined")]
    + [(name, "bare") for name in EXAMPLES if name not in NEED_A_STREAM],
)
def test_an_example_becomes_its_record_in_every_shape(name: str, shape: str) -> None:
    stream, data, label = EXAMPLES[name]
    raw = {
        "enveloped": lambda: enveloped(data, stream),
        "combined": lambda: combined(data, stream),
        "bare": lambda: bare(data),
    }[shape]()
    decoded = decode(raw, after_a_trade())
    assert decoded.event_type == label
    expected = EXPECTED[name]
    if name == "partial book" and shape == "combined":
        expected = msgspec.structs.replace(expected, time_ms=RECEIVED_US // 1000)
    if isinstance(expected, Record):
        assert record_of(decoded) == expected
    else:
        assert decoded.outcome == expected


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"partial book"}))
def test_the_type_is_compared_in_any_case(name: str) -> None:
    stream, data, _ = EXAMPLES[name]
    for spelling in (str.upper, str.lower, str.swapcase):
        assert decode(enveloped({**data, "e": spelling(data["e"])}, stream)) == decode(enveloped(data, stream))


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"force order", "mini ticker", "partial book"}))
def test_an_event_without_a_type_is_typed_by_its_stream(name: str) -> None:
    stream, data, _ = EXAMPLES[name]
    untyped = {key: value for key, value in data.items() if key != "e"}
    assert decode(enveloped(untyped, stream)) == decode(enveloped(data, stream))
    assert decode(enveloped({**untyped, "e": None}, stream)) == decode(enveloped(data, stream))


def test_the_symbol_in_a_streams_name_does_not_type_the_event() -> None:
    data = event("ticker", e=None, s="TRADEUSDT")
    decoded = decode(enveloped(data, "tradeusdt@ticker"), decoder("TRADEUSDT"))
    assert decoded.event_type == "24hrTicker"


def test_an_event_without_a_symbol_has_that_of_its_stream() -> None:
    assert decode(enveloped(event("trade", s=None), "btcusdt@trade")) == decode(bare(event("trade")))


def test_unknown_keys_are_ignored() -> None:
    data = event("trade", st=1, ps="BOTH", nested={"deep": [1, {"e": "kline"}]})
    extra = {"_otel_trace_headers": {"traceparent": "00-1-2-01"}}
    assert decode(enveloped(data, "btcusdt@trade", **extra)) == decode(bare(event("trade")))


def test_an_old_name_of_depth_events_is_known() -> None:
    stream, data, _ = EXAMPLES["depth"]
    assert decode(enveloped({**data, "e": "depthLevel"}, stream)) == decode(enveloped(data, stream))


# -- rows ---------------------------------------------------------------------------------------------------


def test_an_insurance_fund_trade_keeps_its_order_type() -> None:
    trade = record_of(decode(bare(event("trade", X="INSURANCE_FUND"))))
    assert isinstance(trade, Trade)
    assert trade.order_type == "INSURANCE_FUND"


def test_a_spot_trade_without_an_order_type_is_a_market_trade() -> None:
    trade = record_of(decode(bare(event("trade", X=None, M=True))))
    assert isinstance(trade, Trade)
    assert trade.order_type == "MARKET"


def kline(**changes: Any) -> bytes:
    return bare(event("kline", k={**EXAMPLES["kline"].data["k"], **changes}))


def test_an_open_bar_is_an_open_candle_with_its_event_time() -> None:
    decoded = decode(kline(x=False))
    candle = record_of(decoded)
    assert isinstance(candle, OpenCandle)
    assert (candle.timeframe, candle.open_time, candle.event_time) == ("1h", 1760918400000, 1760922000012)
    assert (candle.open, candle.high, candle.low, candle.close) == (
        "110851.00", "111180.00", "110702.30", "111020.10",
    )  # fmt: skip
    assert isinstance(decoded.outcome, Event)
    assert not decoded.outcome.keep_first


def test_a_bar_without_trades_has_no_ids() -> None:
    candle = record_of(decode(kline(f=-1, L=-1, n=0, v="0", q="0", V="0", Q="0")))
    assert isinstance(candle, Candle)
    assert (candle.first_id, candle.last_id, candle.trades_count) == (None, None, 0)


@pytest.mark.parametrize("interval", ["3m", "30m", "1M", "1s", ""])
def test_a_bar_of_a_timeframe_that_is_not_kept_is_skipped(interval: str) -> None:
    decoded = decode(kline(i=interval))
    assert (decoded.event_type, decoded.outcome) == ("kline", TIMEFRAME)


def test_a_bar_that_does_not_open_on_its_timeframe_is_quarantined() -> None:
    assert reason_of(decode(kline(t=1760918400000 + 60_000))) == "bad_time"
    assert isinstance(record_of(decode(kline(t=1760918400000 + 60_000, i="1m"))), Candle)


def test_a_mark_price_announces_the_funding_to_the_minute() -> None:
    decoded = decode(bare(event("mark price", T=1760947200007)))
    expected = Funding(1760947200000, 1760918402000, "0.00010000", "110846.71500000", False, *ORIGIN)
    assert decoded.funding == expected


def test_a_delivery_contract_announces_no_funding() -> None:
    decoded = decode(bare(event("mark price", r="", T=0)))
    mark = record_of(decoded)
    assert isinstance(mark, MarkPrice)
    assert (mark.last_funding_rate, mark.next_funding_time, decoded.funding) == (None, None, None)


def test_rates_and_changes_may_be_negative_and_prices_may_not() -> None:
    assert isinstance(record_of(decode(bare(event("mark price", r="-0.00030000")))), MarkPrice)
    assert isinstance(record_of(decode(bare(event("ticker", p="-12.5", P="-0.01")))), Ticker)
    assert isinstance(record_of(decode(bare(event("funding rate", r="-0.0001")))), Funding)
    assert reason_of(decode(bare(event("mark price", p="-1.0")))) == "bad_number"
    assert reason_of(decode(bare(event("book ticker", b="-1.0")))) == "bad_number"


NUMBERS = {
    "trade": "pq",
    "aggTrade": "pq",
    "ticker": "ohlcvqpP",
    "mini ticker": "ohlcvq",
    "mark price": "piPr",
    "book ticker": "bBaA",
    "funding rate": "rp",
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in NUMBERS.items() for key in keys])
def test_every_number_of_an_event_is_checked(name: str, key: str) -> None:
    assert reason_of(decode(bare(event(name, **{key: "1e5"})))) == "bad_number"


@pytest.mark.parametrize("key", ["o", "h", "l", "c", "v", "q", "V", "Q"])
def test_every_number_of_a_bar_is_checked(key: str) -> None:
    for closed in (True, False):
        assert reason_of(decode(kline(x=closed, **{key: "1e5"}))) == "bad_number"
        zero = decode(kline(x=closed, **{key: "0"}))
        if key in "ohlc":
            assert reason_of(zero) == "bad_number"
        else:
            record_of(zero)


@pytest.mark.parametrize("key", ["q", "p", "ap", "l", "z"])
def test_every_number_of_a_forced_order_is_checked(key: str) -> None:
    order = {**EXAMPLES["force order"].data["o"], key: "1e5"}
    assert reason_of(decode(bare(event("force order", o=order)))) == "bad_number"


def test_a_funding_rate_without_its_time_is_that_of_its_event() -> None:
    funding = record_of(decode(bare(event("funding rate", T=None, E=1760918400123))))
    assert isinstance(funding, Funding)
    assert (funding.funding_time, funding.event_time) == (1760918400000, 1760918400123)


def test_a_spot_book_ticker_has_the_time_of_its_arrival() -> None:
    data = event("book ticker", e=None, E=None, T=None)
    by_envelope = record_of(decode(enveloped(data, "btcusdt@bookTicker")))
    by_server = record_of(decode(combined(data, "btcusdt@bookTicker")))
    assert isinstance(by_envelope, BookTicker)
    assert isinstance(by_server, BookTicker)
    assert (by_envelope.time_ms, by_server.time_ms) == (PUBLISHED_MS, RECEIVED_US // 1000)


def test_a_spot_depth_update_links_by_its_first_id_and_has_its_event_time() -> None:
    data = event("diff depth", pu=None, T=None)
    decoded = decode(enveloped(data, "btcusdt@depth@100ms"))
    assert decoded.outcome == DIFF_DEPTH
    assert decoded.update is not None
    assert decoded.update.previous_id == data["U"] - 1


def test_a_typed_depth_event_without_any_time_is_misshapen() -> None:
    assert reason_of(decode(bare(event("depth", T=None, E=None)))) == "bad_shape"


# -- depth --------------------------------------------------------------------------------------------------


def test_a_diff_update_gives_its_place_in_the_chain_and_no_book() -> None:
    stream, data, _ = EXAMPLES["diff depth"]
    decoded = decode(enveloped(data, stream))
    assert (decoded.outcome, decoded.book) == (DIFF_DEPTH, None)
    assert decoded.update is not None
    assert (decoded.update.previous_id, decoded.update.final_id) == (8812345679100, 8812345679130)


def test_three_levels_without_a_streams_name_are_a_diff() -> None:
    decoded = decode(bare(EXAMPLES["depth"].data))
    assert decoded.outcome == DIFF_DEPTH


def test_a_proof_of_a_diff_stream_is_remembered_by_symbol() -> None:
    stream, data, _ = EXAMPLES["depth of 20 levels"]
    one = decoder()
    assert isinstance(record_of(decode(enveloped(data, stream), one)), Depth)
    assert decode(enveloped({**data, "b": [["110850.30", "0.000"]]}, stream), one).outcome == DIFF_DEPTH
    assert decode(enveloped(data, stream), one).outcome == DIFF_DEPTH
    assert isinstance(record_of(decode(enveloped(data, stream), decoder())), Depth)


def test_depth_kind_overrides_what_the_events_look_like() -> None:
    stream, data, _ = EXAMPLES["diff depth"]
    assert isinstance(record_of(decode(enveloped(data, stream), decoder(depth_kind="partial"))), Depth)
    stream, data, _ = EXAMPLES["depth of 20 levels"]
    assert decode(enveloped(data, stream), decoder(depth_kind="diff")).outcome == DIFF_DEPTH


def test_a_book_keeps_twenty_levels_of_a_side() -> None:
    data = event("depth", b=[[f"{500 - i}", "1"] for i in range(50)])
    book = decode(bare(data), decoder(depth_kind="partial")).book
    assert book is not None
    assert len(book.bids) == 20


def test_ids_that_run_backwards_are_misshapen() -> None:
    assert reason_of(decode(bare(event("diff depth", pu=8812345679130)))) == "bad_shape"


# -- a book that names no symbol ----------------------------------------------------------------------------


def spot_book(bid: str, ask: str, timestamp: str = "2025-10-20T00:00:00.131245Z") -> bytes:
    data = {"lastUpdateId": 1, "bids": [[bid, "1"]], "asks": [[ask, "1"]]}
    return enveloped(data, "btcusdt@depth20@100ms", timestamp=timestamp)


@pytest.mark.parametrize(
    ("bid", "ask", "believed"),
    [("102.9", "103.1", True), ("96.9", "97.1", True), ("103.0", "103.1", False), ("96.9", "97.0", False)],
)
def test_a_book_without_a_symbol_is_believed_within_three_percent_of_the_last_price(
    bid: str, ask: str, believed: bool
) -> None:
    decoded = decode(spot_book(bid, ask), after_a_trade("100"))
    if believed:
        assert isinstance(record_of(decoded), Depth)
    else:
        assert (decoded.event_type, reason_of(decoded)) == ("depthUpdate", "symbol_mismatch")


@pytest.mark.parametrize(
    ("timestamp", "believed"),
    [
        ("2025-10-20T00:01:00.120Z", True),
        ("2025-10-20T00:01:00.121Z", False),
        ("2025-10-19T23:59:00.120Z", True),
        ("2025-10-19T23:59:00.119Z", False),
    ],
)
def test_a_book_without_a_symbol_needs_a_price_of_the_same_minute(timestamp: str, believed: bool) -> None:
    decoded = decode(spot_book("99", "101", timestamp), after_a_trade("100"))
    assert isinstance(decoded.outcome, Event) == believed
    assert believed or reason_of(decoded) == "symbol_mismatch"


def test_a_book_without_a_symbol_is_not_believed_before_the_first_price() -> None:
    assert reason_of(decode(spot_book("99", "101"))) == "symbol_mismatch"


@pytest.mark.parametrize("name", ["ticker", "mini ticker", "aggTrade"])
def test_tickers_and_agg_trades_back_a_book_too(name: str) -> None:
    ready = decoder(**OFF)
    decode(bare(event(name)), ready)
    decoded = decode(enveloped(EXAMPLES["partial book"].data, "btcusdt@depth20@100ms"), ready)
    assert decoded.book is not None


def test_a_refused_trade_backs_no_book() -> None:
    ready = decoder()
    decode(bare(event("trade", p="100", q="0")), ready)
    assert reason_of(decode(spot_book("99", "101"), ready)) == "symbol_mismatch"


def test_a_book_with_an_empty_side_cannot_be_placed() -> None:
    data = {"lastUpdateId": 1, "bids": [], "asks": [["100", "1"]]}
    decoded = decode(enveloped(data, "btcusdt@depth20@100ms"), after_a_trade("100"))
    assert reason_of(decoded) == "symbol_mismatch"


@pytest.mark.parametrize("timestamp", ["yesterday", "2025-10-20T00:00:00", 12, {}, "1816-10-20T00:00:00Z"])
def test_a_timestamp_that_tells_no_time_is_quarantined(timestamp: object) -> None:
    raw = enveloped(EXAMPLES["partial book"].data, "btcusdt@depth20@100ms", timestamp=timestamp)
    assert reason_of(decode(raw, after_a_trade())) == "bad_time"


# -- storage policies ---------------------------------------------------------------------------------------

BY_SETTING = {
    "depth of 20 levels": ("store_depth", 1760918400298),
    "book ticker": ("store_book_ticker", 1760918400257),
    "ticker": ("store_ticker", 1760918401004),
    "mini ticker": ("store_ticker", 1760918401004),
    "mark price": ("store_mark_price", 1760918402000),
}


@pytest.mark.parametrize("name", BY_SETTING)
def test_a_sampled_record_stands_under_its_slot_and_the_best_wins(name: str) -> None:
    setting, time_ms = BY_SETTING[name]
    for policy, slot in (("sampled:1", time_ms // 1000 * 1000), ("sampled:7", time_ms // 7000 * 7000)):
        decoded = decode(bare(event(name)), decoder(**{setting: policy}))
        record = record_of(decoded)
        assert isinstance(record, Depth | BookTicker | Ticker | MarkPrice)
        assert (record.slot, record.time_ms) == (slot, time_ms)
        assert isinstance(decoded.outcome, Event)
        assert not decoded.outcome.keep_first


@pytest.mark.parametrize("name", sorted(BY_SETTING.keys() | {"trade", "aggTrade", "force order"}))
def test_a_full_record_stands_under_its_own_key_and_the_first_wins(name: str) -> None:
    decoded = decode(bare(event(name)))
    assert isinstance(decoded.outcome, Event)
    assert decoded.outcome.keep_first


@pytest.mark.parametrize("name", sorted(BY_SETTING.keys() | {"force order"}))
def test_what_is_off_is_skipped_after_it_was_checked(name: str) -> None:
    decoded = decode(bare(event(name)), decoder(**OFF))
    assert decoded.outcome == BY_POLICY
    broken = event(name)
    broken[{"depth of 20 levels": "b", "force order": "o"}.get(name, "s")] = 1
    assert reason_of(decode(bare(broken), decoder(**OFF))) == "bad_shape"


def test_trades_bars_and_funding_rates_are_always_stored() -> None:
    for name in ("trade", "aggTrade", "kline", "funding rate"):
        record_of(decode(bare(event(name)), decoder(**OFF)))


def test_book_and_prediction_are_told_whatever_the_policy() -> None:
    off = decoder(**OFF)
    assert decode(bare(event("depth of 20 levels")), off).book is not None
    assert decode(bare(event("mark price")), off).funding is not None


# -- quarantine ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"{",
        b"nan",
        b"not json",
        b'{"e":"trade"}}',
        b"\xff\xfe",
        b'{"e":"\xff"}',
        b'{"e":"\\ud800"}',
    ],
)
def test_what_is_not_json_is_named_so(raw: bytes) -> None:
    decoded = decode(raw)
    assert (decoded.event_type, reason_of(decoded)) == ("unknown", "not_json")


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"trade"', b"null", b'[{"e":"trade"}]', b'{"e":5}', b"[" * 50_000])
def test_json_of_another_shape_is_quarantined(raw: bytes) -> None:
    decoded = decode(raw)
    assert decoded.event_type == "unknown"
    assert reason_of(decoded) in ("bad_shape", "unknown_type")


@pytest.mark.parametrize("name", ["continuous_kline", "contractInfo", "listStatus", "unknown", ""])
def test_types_that_are_not_stored_are_quarantined_as_unknown(name: str) -> None:
    decoded = decode(bare(event("trade", e=name)))
    assert (decoded.event_type, reason_of(decoded)) == ("unknown", "unknown_type")


def test_an_event_without_type_and_stream_is_of_unknown_type() -> None:
    assert reason_of(decode(bare(event("trade", e=None)))) == "unknown_type"
    assert reason_of(decode(enveloped(event("trade", e=None), "btcusdt@indexPrice"))) == "unknown_type"


def test_an_answer_to_a_subscription_is_of_unknown_type() -> None:
    assert reason_of(decode(b'{"result":null,"id":1}')) == "unknown_type"


def every_field() -> Iterator[tuple[str, str]]:
    """(example, field) of all fields the records need."""
    ignored = {"e", "w", "Q", "O", "C", "F", "L", "X", "pu", "i", "P"}
    optional = {("mark price", "r"), ("mark price", "T"), ("funding rate", "p"), ("funding rate", "T")}
    for name, example in EXAMPLES.items():
        timed_by_trade = {"E"} if "T" in example.data and name not in ("mark price", "funding rate") else set()
        replaced = {"T"} if example.label in ("depthUpdate", "bookTicker") else set()
        for key in example.data.keys() - ignored - timed_by_trade - replaced:
            if (name, key) not in optional and name not in ("kline", "force order", "partial book"):
                yield name, key


@pytest.mark.parametrize(("name", "key"), sorted(every_field()))
def test_a_missing_field_is_named_in_the_sentence(name: str, key: str) -> None:
    decoded = decode(bare(event(name, **{key: None})))
    assert decoded.event_type == EXAMPLES[name].label
    assert reason_of(decoded) == "bad_shape"
    assert isinstance(decoded.outcome, Quarantine)
    assert f"`{key}`" in decoded.outcome.sentence


@pytest.mark.parametrize(("name", "key"), sorted(every_field()))
def test_a_field_of_another_type_is_quarantined(name: str, key: str) -> None:
    wrong: object = [] if not isinstance(EXAMPLES[name].data[key], list) else "text"
    decoded = decode(bare(event(name, **{key: wrong})))
    assert decoded.event_type == EXAMPLES[name].label
    assert reason_of(decoded) == "bad_shape"
    assert isinstance(decoded.outcome, Quarantine)
    assert f"$.{key}" in decoded.outcome.sentence


@pytest.mark.parametrize("time", [0, 1, 1_760_918_400, 1_483_228_799_999, 4_102_444_800_000, 1_760_918_400_123_000])
def test_a_time_that_is_no_plausible_millisecond_is_quarantined(time: int) -> None:
    for name, key in [
        ("trade", "T"),
        ("aggTrade", "T"),
        ("ticker", "E"),
        ("depth", "T"),
        ("book ticker", "T"),
        ("mark price", "E"),
        ("funding rate", "T"),
    ]:
        assert reason_of(decode(bare(event(name, **{key: time})))) == "bad_time"
    assert reason_of(decode(kline(t=time))) == "bad_time"
    if time:
        assert reason_of(decode(bare(event("mark price", T=time)))) == "bad_time"


@pytest.mark.parametrize("number", [-1, 2**63, 2**64, 10**400])
def test_an_id_beyond_64_bits_is_quarantined(number: int) -> None:
    raw = json.dumps(event("trade", t=number)).encode()
    assert reason_of(decode(raw)) == "bad_shape"


def test_the_greatest_id_is_taken() -> None:
    trade = record_of(decode(bare(event("trade", t=2**63 - 1))))
    assert isinstance(trade, Trade)
    assert trade.trade_id == 2**63 - 1


def test_an_agg_trade_whose_ids_run_backwards_is_misshapen() -> None:
    assert reason_of(decode(bare(event("aggTrade", f=5, l=4)))) == "bad_shape"
    assert isinstance(record_of(decode(bare(event("aggTrade", f=5, l=5)))), Trade)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"partial book", "force order"}))
def test_an_event_of_another_symbol_is_quarantined(name: str) -> None:
    decoded = decode(bare(event(name, s="ETHUSDT")))
    assert (decoded.event_type, reason_of(decoded)) == (EXAMPLES[name].label, "symbol_mismatch")


def test_a_forced_order_of_another_symbol_is_quarantined() -> None:
    order = {**EXAMPLES["force order"].data["o"], "s": "ETHUSDT"}
    assert reason_of(decode(bare(event("force order", o=order)))) == "symbol_mismatch"


def test_a_quarantined_row_keeps_the_bytes_and_says_why() -> None:
    frame = Frame(POSITION, RECEIVED_US, b"{")
    decoded = decoder().decode(frame, MARKET_SEQ, NOW_MS)
    assert isinstance(decoded.outcome, Quarantine)
    row = quarantined(frame, 99, decoded.event_type, decoded.outcome, NOW_MS)
    assert row == Quarantined(
        99, POSITION, "unknown", "not_json", decoded.outcome.sentence, b"{", RECEIVED_US // 1000, NOW_MS
    )


def test_sentences_stay_short_whatever_the_event_holds() -> None:
    long = "9" * 100_000
    for raw in (
        bare(event("trade", e=long)),
        bare(event("trade", s=long)),
        bare(event("trade", p=long)),
        bare(event("depth", b=[[long, long]])),
        bare(event("trade", X=long)),
    ):
        outcome = decode(raw).outcome
        assert isinstance(outcome, Quarantine)
        assert len(outcome.sentence) < 300


# -- properties ---------------------------------------------------------------------------------------------

IDS = st.integers(0, 2**63 - 1)
TIMES = st.integers(1_483_228_800_000, 4_102_444_799_999)


def decimals(whole: int = 15, fraction: int = 12, least: int = 0) -> st.SearchStrategy[str]:
    """Plain decimals, sometimes with leading and trailing zeros."""

    def text(digits: int, scale: int, zeros: int) -> str:
        number = f"{digits:0{scale + 1}d}"
        point = len(number) - scale
        return "0" * zeros + number[:point] + ("." + number[point:] if scale else "")

    long = st.builds(text, st.integers(least, 10**whole - 1), st.integers(0, fraction), st.just(0))
    return long | st.builds(text, st.integers(least, 999), st.integers(0, 3), st.integers(0, 2))


@pure
@given(IDS, TIMES, decimals(least=1), decimals(least=1), st.booleans(), st.sampled_from(["MARKET", "ADL", "é"]))
def test_every_valid_trade_comes_out_as_it_went_in(
    trade_id: int, time_ms: int, price: str, quantity: str, maker: bool, order_type: str
) -> None:
    data = event("trade", t=trade_id, T=time_ms, p=price, q=quantity, m=maker, X=order_type)
    expected = Trade("trade", trade_id, time_ms, price, quantity, maker, trade_id, trade_id, order_type, *ORIGIN)
    assert record_of(decode(bare(data))) == expected
    assert record_of(decode(enveloped(data, "btcusdt@trade"))) == expected


@pure
@given(IDS, st.lists(st.tuples(decimals(), decimals(least=1)), min_size=1, max_size=20), TIMES)
def test_every_valid_snapshot_comes_out_as_it_went_in(
    update_id: int, pairs: list[tuple[str, str]], time_ms: int
) -> None:
    bids = sorted(pairs, key=lambda pair: float(pair[0]), reverse=True)
    asks = sorted(pairs, key=lambda pair: float(pair[0]))
    data = event("depth", u=update_id, T=time_ms, b=bids, a=asks)
    book = record_of(decode(enveloped(data, "btcusdt@depth20@100ms")))
    assert book == Depth(update_id, time_ms, update_id, tuple(bids), tuple(asks), *ORIGIN)


@pure
@given(
    st.sampled_from(sorted(EXAMPLES)),
    st.randoms(use_true_random=False),
    st.sampled_from([None, 0, 1, 3, "\t"]),
)
def test_white_space_and_the_order_of_keys_do_not_matter(
    name: str, rng: random.Random, indent: int | str | None
) -> None:
    stream, data, _ = EXAMPLES[name]
    message = json.loads(enveloped(data, stream))
    text = json.dumps(shuffled(message, rng), indent=indent, ensure_ascii=rng.random() < 0.5)
    padded = f" \n{text}\r\n\t".encode()
    assert decode(padded, after_a_trade()) == decode(enveloped(data, stream), after_a_trade())


def shuffled(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    keys = list(value)
    rng.shuffle(keys)
    return {key: shuffled(value[key], rng) for key in keys}


def assert_has_one_outcome(raw: bytes) -> None:
    """Nothing is raised, labels and reasons are known ones, and what is to be stored can be stored."""
    decoded = decode(raw, after_a_trade())
    assert decoded.event_type in EVENT_TYPES
    if isinstance(decoded.outcome, Quarantine):
        assert decoded.outcome.reason in REASONS
        assert decoded.outcome.sentence
    elif isinstance(decoded.outcome, Event):
        for value in msgspec.structs.astuple(decoded.outcome.record):
            assert not isinstance(value, int) or -(2**63) <= value < 2**63
            assert not isinstance(value, str) or value.encode() is not None
    else:
        assert isinstance(decoded.outcome, Skipped)


@pure
@given(st.binary(max_size=200))
def test_random_bytes_have_one_outcome(raw: bytes) -> None:
    assert_has_one_outcome(raw)
    decoded = decode(raw)
    assert isinstance(decoded.outcome, Quarantine)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pure
@given(st.sampled_from(sorted(EXAMPLES)), st.data(), st.booleans())
def test_an_event_with_any_field_replaced_has_one_outcome(name: str, data: st.DataObject, wrapped: bool) -> None:
    example = EXAMPLES[name]
    changed = event(name)
    target = changed
    for nested in ("k", "o"):
        if isinstance(changed.get(nested), dict) and data.draw(st.booleans()):
            target = changed[nested]
    for key in data.draw(st.lists(st.sampled_from(sorted(target)), min_size=1, max_size=3)):
        target[key] = data.draw(VALUES)
    text = json.dumps({"stream": data.draw(st.just(example.stream) | VALUES), "data": changed} if wrapped else changed)
    assert_has_one_outcome(text.encode())


@pure
@given(st.sampled_from(sorted(EXAMPLES)), st.integers(0), st.binary(max_size=4), st.integers(0, 4))
def test_an_event_with_damaged_bytes_has_one_outcome(name: str, place: int, inserted: bytes, removed: int) -> None:
    stream, data, _ = EXAMPLES[name]
    raw = enveloped(data, stream)
    at = place % len(raw)
    assert_has_one_outcome(raw[:at] + inserted + raw[at + removed :])


@pure
@given(VALUES)
def test_any_json_has_one_outcome(value: object) -> None:
    assert_has_one_outcome(json.dumps(value).encode())
