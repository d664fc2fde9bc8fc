import json
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.routing import (
    BATCH_BYTES,
    FRAME_BYTES,
    MALFORMED_SYMBOL,
    MAX_EVENTS,
    NO_SYMBOL,
    NOT_JSON,
    RESERVED,
    TOO_LARGE,
    TOO_MANY_ELEMENTS,
    Aside,
    Gathering,
    Piece,
    Refused,
    Routed,
    Skipped,
    cut,
    event_type_of,
    message_id,
    route,
    sort_out,
)
from data_manager.system.delivery import Delivery
from data_manager.system.event_types import EVENT_TYPES, UNKNOWN, ledger_label, metric_label
from data_manager.system.frames import MAX_ARRAY, Batch, Frame, encode, position
from data_manager.system.settings import RESERVED_SYMBOL, is_symbol
from data_manager.system.trace_context import MAX_TRACEPARENT

pure = settings(derandomize=True, deadline=None)

KNOWN = frozenset({"BTCUSDT", "ETHUSDT", "币安人生USDT", "1000SHIBUSDT"})
UNKNOWN_SYMBOLS = ("DOGEUSDT", "XRPUSDT_251226", "测试USDT")

TRADE = {"e": "trade", "E": 1760918400123, "T": 1760918400120, "s": "BTCUSDT", "t": 1, "p": "1.5", "q": "2"}
KLINE = {"e": "kline", "E": 1, "s": "ETHUSDT", "k": {"t": 1, "s": "ETHUSDT", "i": "1m", "o": "3", "x": True}}
TICKER = {"e": "24hrTicker", "E": 1, "s": "BTCUSDT", "o": "109330.10", "c": "110850.40"}
FORCE_ORDER = {"e": "forceOrder", "E": 1, "o": {"s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "q": "0.2"}}
DEPTH = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 1, "u": 2, "b": [["1", "2"]], "a": [["3", "4"]]}
SPOT_BOOK = {"lastUpdateId": 7, "bids": [["1", "2"]], "asks": [["3", "4"]]}


def compact(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def enveloped(event: object, stream: str = "btcusdt@trade") -> dict[str, object]:
    return {"stream": stream, "data": event, "timestamp": "2025-10-20T00:00:00Z", "version": "1.0"}


def only(pieces: list[Piece]) -> Piece:
    assert len(pieces) == 1
    return pieces[0]


def reason(payload: bytes) -> str:
    piece = only(route(payload, KNOWN))
    assert isinstance(piece, Refused)
    assert piece.raw == payload
    assert piece.sentence.endswith(".")
    return piece.reason


# -- one event -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [TRADE, TICKER, FORCE_ORDER, DEPTH], ids=lambda event: event["e"])
@pytest.mark.parametrize("wrap", [lambda event: event, enveloped], ids=["bare", "enveloped"])
def test_an_event_goes_to_its_symbol_byte_for_byte(event, wrap):
    payload = compact(wrap(event))
    assert route(payload, KNOWN) == [Routed("BTCUSDT", payload)]


def test_a_kline_goes_to_its_symbol_though_it_names_it_twice():
    assert route(compact(KLINE), KNOWN) == [Routed("ETHUSDT", compact(KLINE))]


def test_white_space_changes_nothing():
    payload = json.dumps(enveloped(TRADE), indent=3).replace('"s":', '"s"\t :\n').encode()
    assert route(payload, KNOWN) == [Routed("BTCUSDT", payload)]


def test_a_symbol_in_letters_of_any_script_is_routed():
    payload = compact({**TRADE, "s": "币安人生USDT"})
    assert route(payload, KNOWN) == [Routed("币安人生USDT", payload)]


def test_an_escaped_symbol_is_decoded():
    payload = json.dumps({**TRADE, "s": "币安人生USDT"}, ensure_ascii=True).encode()
    assert b"\\u" in payload
    assert route(payload, KNOWN) == [Routed("币安人生USDT", payload)]
    assert route(b'{"\\u0073":"BTCUSDT"}', KNOWN) == [Routed("BTCUSDT", b'{"\\u0073":"BTCUSDT"}')]


def test_a_symbol_inside_a_text_is_not_taken_for_the_events():
    payload = compact({"note": 'x"s":"ETHUSDT"', 'k"s': "ETHUSDT", "s": "BTCUSDT"})
    assert route(payload, KNOWN) == [Routed("BTCUSDT", payload)]


def test_a_book_without_symbol_goes_by_its_streams_name():
    payload = compact(enveloped(SPOT_BOOK, "ethusdt@depth20@100ms"))
    assert route(payload, KNOWN) == [Routed("ETHUSDT", payload)]


def test_the_events_own_symbol_beats_the_streams_name():
    payload = compact(enveloped(TRADE, "ethusdt@trade"))
    assert route(payload, KNOWN) == [Routed("BTCUSDT", payload)]


@pytest.mark.parametrize("symbol", UNKNOWN_SYMBOLS)
@pytest.mark.parametrize("event", [TRADE, KLINE], ids=lambda event: event["e"])
def test_an_event_of_a_symbol_that_is_not_configured_is_skipped_with_its_type(symbol, event):
    payload = compact(enveloped({**event, "s": symbol}))
    assert route(payload, KNOWN) == [Skipped(symbol, event["e"], payload)]


def test_nothing_is_routed_where_nothing_is_configured():
    assert only(route(compact(TRADE), frozenset())) == Skipped("BTCUSDT", "trade", compact(TRADE))


# -- refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"{",
        b"not json",
        b'{"e":"trade"',
        b'{"s":"DOGEUSDT"',
        b'{"s":"DOGEUSDT"} trailing',
        b'{"s":"\xff\xfe"}',
        b'{"stream":"\xff@trade"}',
        b"\xef\xbb\xbf{}",
        b"[" * 50_000,
        b'{"data":' * 50_000,
        b'[{"s":"DOGEUSDT"},',
        b'{"data":[{"s":"DOGEUSDT"},}',
    ],
    ids=lambda payload: payload[:20],
)
def test_what_is_not_json_is_refused(payload):
    assert reason(payload) == NOT_JSON


@pytest.mark.parametrize(
    "payload",
    [
        b"3",
        b"null",
        b'"BTCUSDT"',
        b"{}",
        b"[]",
        b" [ ] ",
        b'{"stream":"btcusdt@trade","data":[]}',
        b'{"result":null,"id":1}',
        b'{"s":null}',
        b'{"e":"forceOrder","o":"110.5"}',
        b'{"e":"forceOrder","o":{"S":"SELL"}}',
        b'{"stream":"!ticker@arr","data":{"e":"24hrTicker"}}',
        b'{"stream":3,"data":{}}',
    ],
)
def test_what_names_no_symbol_is_refused(payload):
    assert reason(payload) == NO_SYMBOL


@pytest.mark.parametrize("symbol", ["btcusdt", "", "B", "BTC USDT", "BTC.USDT", "BTC>", "X" * 21, 3, ["BTCUSDT"], {}])
def test_what_cannot_be_a_symbol_is_refused(symbol):
    assert reason(compact({**TRADE, "s": symbol})) == MALFORMED_SYMBOL


def test_the_reserved_symbol_is_refused_even_where_a_caller_claims_to_know_it():
    payload = compact(enveloped({**TRADE, "s": RESERVED_SYMBOL}))
    assert reason(payload) == RESERVED
    assert reason(compact(enveloped(SPOT_BOOK, "selftest@depth5"))) == RESERVED


def test_a_refused_event_tells_its_type_where_it_has_one():
    assert only(route(b'{"e":"AGGTRADE","s":""}', KNOWN)).event_type == "aggTrade"
    assert only(route(b'{"e":"brandNew","s":""}', KNOWN)).event_type == UNKNOWN
    assert only(route(b'{"e":7}', KNOWN)).event_type == UNKNOWN


# -- arrays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [list, enveloped], ids=["top level", "enveloped"])
def test_each_element_of_an_array_goes_its_own_way_in_order(wrap):
    events = [
        TRADE,
        {**TICKER, "s": "DOGEUSDT"},
        {**TRADE, "s": "btc"},
        FORCE_ORDER,
        17,
        {**KLINE, "x": "\u0041\n"},
    ]
    assert route(compact(wrap(events)), KNOWN) == [
        Routed("BTCUSDT", compact(TRADE)),
        Skipped("DOGEUSDT", "24hrTicker", compact(events[1])),
        Refused("trade", MALFORMED_SYMBOL, "'btc' is no symbol.", compact(events[2])),
        Routed("BTCUSDT", compact(FORCE_ORDER)),
        Refused(UNKNOWN, NO_SYMBOL, "The event is JSON, but no object.", b"17"),
        Routed("ETHUSDT", compact(events[5])),
    ]


def test_elements_keep_their_raw_bytes():
    assert route(b' [ {"s" : "BTCUSDT" , "x":1.0e3 } ,\n{"s":"\\u0045THUSDT"}]', KNOWN) == [
        Routed("BTCUSDT", b'{"s" : "BTCUSDT" , "x":1.0e3 }'),
        Routed("ETHUSDT", b'{"s":"\\u0045THUSDT"}'),
    ]


def test_data_after_other_keys_is_fanned_out_too():
    payload = compact({"version": "1.0", "data": [TRADE, TICKER], "stream": "!ticker@arr"})
    assert [type(piece) for piece in route(payload, KNOWN)] == [Routed, Routed]


def test_an_array_inside_an_array_is_refused_not_fanned_out():
    assert [type(piece) for piece in route(compact([[TRADE], TRADE]), KNOWN)] == [Refused, Routed]


def test_an_array_up_to_the_limit_is_fanned_out_and_a_longer_one_refused_whole():
    assert len(route(compact([TRADE] * MAX_ARRAY), KNOWN)) == MAX_ARRAY
    assert reason(compact([TRADE] * (MAX_ARRAY + 1))) == TOO_MANY_ELEMENTS


# -- properties ----------------------------------------------------------------------------------------------

texts = st.text(max_size=8)
symbols = st.sampled_from([*KNOWN, *UNKNOWN_SYMBOLS, RESERVED_SYMBOL, "btcusdt", "B", "A\u00e9", "X" * 30]) | texts
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts
fillers = st.dictionaries(texts.filter(lambda key: key not in ("s", "o", "data", "stream")), scalars, max_size=3)


@st.composite
def events(draw):
    """An event with its symbol at a random place among random other keys."""
    symbol = draw(symbols)
    around = list(draw(fillers).items())
    around.insert(draw(st.integers(0, len(around))), ("s", symbol))
    return dict(around)


def expected(event: dict) -> type:
    symbol = event["s"]
    if symbol in KNOWN:
        return Routed
    return Skipped if is_symbol(symbol) and symbol != RESERVED_SYMBOL else Refused


def dumped(draw, message) -> bytes:
    indent = draw(st.sampled_from([None, 0, 2]))
    return json.dumps(message, indent=indent, ensure_ascii=draw(st.booleans())).encode()


@pure
@given(st.data())
def test_every_event_ends_in_exactly_one_place_whatever_its_shape(data):
    shape = data.draw(st.sampled_from(["bare", "envelope", "order", "array", "array in envelope"]))
    batch = data.draw(st.lists(events(), min_size=1, max_size=6 if "array" in shape else 1))
    message = {
        "bare": lambda: batch[0],
        "envelope": lambda: enveloped(batch[0], "ethusdt@trade"),
        "order": lambda: {"e": "forceOrder", "E": 1, "o": batch[0]},
        "array": lambda: batch,
        "array in envelope": lambda: enveloped(batch, "!trade@arr"),
    }[shape]()
    payload = dumped(data.draw, message)
    pieces = route(payload, KNOWN)
    assert [type(piece) for piece in pieces] == [expected(event) for event in batch]
    for piece, event in zip(pieces, batch, strict=True):
        assert isinstance(piece, Refused) or piece.symbol == event["s"]
        if "array" in shape:
            assert json.loads(piece.raw) == event
        else:
            assert piece.raw == payload


@pure
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,s o\\udatream0 BTCUSDT', max_size=60).map(str.encode))
def test_random_bytes_never_raise_and_never_vanish(payload):
    pieces = route(payload, KNOWN)
    assert pieces
    for piece in pieces:
        assert isinstance(piece, Routed | Skipped | Refused)
        assert piece.raw in payload


@pure
@given(st.data())
def test_a_mutilated_message_never_raises(data):
    payload = bytearray(compact(enveloped([TRADE, FORCE_ORDER, {**KLINE, "note": 'a"\\b'}])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert route(bytes(payload), KNOWN)


def test_decoding_agrees_with_the_pattern_on_every_event_of_the_feed():
    """An escaped key forces decoding; it must not change where an event goes."""
    for event in (TRADE, KLINE, TICKER, DEPTH, {**TRADE, "s": "1000SHIBUSDT"}):
        for message in (event, enveloped(event)):
            fast = only(route(compact(message), KNOWN))
            slow = only(route(compact({"\\": 1, **message}), KNOWN))
            assert fast.symbol == slow.symbol == event["s"]


# -- event types ---------------------------------------------------------------------------------------------


def test_event_types_are_compared_in_lower_case():
    assert event_type_of(b'{"e" : "DEPTHUPDATE"}') == "depthUpdate"
    assert event_type_of(compact(enveloped(DEPTH))) == "depthUpdate"
    assert all(ledger_label(name.upper()) == name for name in EVENT_TYPES)
    assert ledger_label("contractInfo") == UNKNOWN


def test_metric_labels_are_those_of_the_dashboards():
    assert {metric_label(name) for name in EVENT_TYPES} == {
        "trade", "ticker", "depth", "markPrice", "fundingRate", "kline", "bookTicker", "forceOrder", "unknown"
    }  # fmt: skip
    assert metric_label("aggTrade") == metric_label("trade") == "trade"


# -- gatherings --------------------------------------------------------------------------------------------


def delivery(sequence: int, message: object, **more: object) -> Delivery:
    return Delivery(compact(message), sequence, sequence * 10, **more)


def gather(*deliveries: Delivery, **more: int) -> Gathering:
    (gathering,) = sort_out(deliveries, KNOWN, **{"max_event_bytes": 10_000, **more})
    return gathering


def test_frames_are_grouped_by_symbol_and_know_their_position_time_and_trace():
    gathering = gather(
        delivery(5, TRADE, trace="00-trace-01"),
        delivery(6, [KLINE, TRADE]),
        delivery(7, KLINE),
    )
    assert gathering.frames == {
        "BTCUSDT": [
            Frame(position(5), 50, compact(TRADE), "00-trace-01"),
            Frame(position(6, 1), 60, compact(TRADE)),
        ],
        "ETHUSDT": [Frame(position(6, 0), 60, compact(KLINE)), Frame(position(7), 70, compact(KLINE))],
    }
    assert not gathering.asides
    assert [d.sequence for d in gathering.deliveries] == [5, 6, 7]


def test_what_is_not_routed_is_set_aside_with_its_position():
    other = {**TRADE, "s": "DOGEUSDT"}
    gathering = gather(delivery(5, [TRADE, other, 3]))
    skipped = Skipped("DOGEUSDT", "trade", compact(other))
    refused = Refused(UNKNOWN, NO_SYMBOL, "The event is JSON, but no object.", b"3")
    assert gathering.asides == [
        Aside(position(5, 1), 50, skipped),
        Aside(position(5, 2), 50, refused),
    ]
    assert [frame.position for frame in gathering.frames["BTCUSDT"]] == [position(5)]


def test_an_event_that_could_never_be_published_is_refused():
    large = {**KLINE, "note": "x" * 100}
    gathering = gather(delivery(5, TRADE), delivery(6, large), max_event_bytes=len(compact(TRADE)))
    assert list(gathering.frames) == ["BTCUSDT"]
    assert [(aside.piece.reason, aside.piece.event_type) for aside in gathering.asides] == [(TOO_LARGE, "kline")]


def test_a_trace_that_is_none_is_left_out():
    gathering = gather(delivery(1, TRADE, trace="x" * (MAX_TRACEPARENT + 1)))
    assert gathering.frames["BTCUSDT"][0].trace is None


def test_a_trace_in_the_publishers_envelope_is_found_where_somebody_looks_for_it():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    enveloped = {"stream": "btcusdt@trade", "data": TRADE, "_otel_trace_headers": {"traceparent": trace}}
    messages = (delivery(1, enveloped), delivery(2, enveloped, trace="00-header-01"), delivery(3, TRADE))
    looking = gather(*messages, look_for_traces=True)
    assert [frame.trace for frame in looking.frames["BTCUSDT"]] == [trace, "00-header-01", None]
    assert [frame.trace for frame in gather(*messages).frames["BTCUSDT"]] == [None, "00-header-01", None]


def test_arrays_do_not_swell_a_gathering_beyond_its_bound():
    array = [17] * MAX_ARRAY
    gatherings = list(sort_out([delivery(n, array) for n in range(10)], KNOWN, max_event_bytes=10_000))
    assert [len(d.deliveries) for d in gatherings] == [MAX_EVENTS // MAX_ARRAY] * 2 + [2]
    assert sum(len(gathering.asides) for gathering in gatherings) == 10 * MAX_ARRAY


def test_nothing_gives_no_gathering():
    assert list(sort_out([], KNOWN, max_event_bytes=1)) == []


# -- batches -------------------------------------------------------------------------------------------------

frames = st.lists(
    st.builds(
        lambda sequence, index, size: Frame(position(sequence, index), 0, bytes(size)),
        st.integers(1, 50),
        st.integers(0, 3),
        st.integers(0, 40),
    ),
    max_size=40,
    unique_by=lambda frame: frame.position,
)


def size_of(frame: Frame) -> int:
    return len(frame.raw) + FRAME_BYTES + len(frame.trace or "")


@pure
@given(frames, st.integers(1, 10), st.integers(1, 500))
def test_batches_hold_every_frame_once_by_position_within_both_limits(given_frames, max_events, max_bytes):
    batches = list(cut(given_frames, max_events, max_bytes))
    flat = [frame for batch in batches for frame in batch]
    assert flat == sorted(given_frames, key=lambda frame: frame.position)
    for batch in batches:
        assert 1 <= len(batch) <= max_events
        assert len(batch) == 1 or sum(map(size_of, batch)) <= max_bytes


@pure
@given(frames, st.integers(1, 10), st.integers(1, 500))
def test_no_batch_is_cut_before_a_limit_is_reached(given_frames, max_events, max_bytes):
    batches = list(cut(given_frames, max_events, max_bytes))
    for batch, following in pairwise(batches):
        assert len(batch) == max_events or sum(map(size_of, [*batch, following[0]])) > max_bytes


def test_an_event_larger_than_a_batch_goes_alone():
    one, two, large = (
        Frame(position(1), 0, b"x"),
        Frame(position(2), 0, b"x"),
        Frame(position(3), 0, b"x" * 100),
    )
    assert list(cut([large, two, one], 10, 2 * size_of(one))) == [[one, two], [large]]


@pure
@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62), st.binary(max_size=300))))
def test_an_encoded_batch_is_never_larger_than_was_reckoned(rows):
    trace = "t" * MAX_TRACEPARENT
    whole = [Frame(*row, trace) for row in rows]
    assert len(encode(Batch(2**62, 2**62, whole))) <= BATCH_BYTES + sum(map(size_of, whole))
    assert len(encode(Batch(2**62, 2**62, [Frame(2**62, 2**62, b"x" * 70_000)]))) <= BATCH_BYTES + 70_032


def test_message_ids_differ_by_incarnation_symbol_range_and_content():
    one, two = Frame(position(7, 3), 0, b"a"), Frame(position(9), 0, b"b")
    ids = Counter(
        [
            message_id(1, "BTCUSDT", [one, two], b"payload"),
            message_id(2, "BTCUSDT", [one, two], b"payload"),
            message_id(1, "ETHUSDT", [one, two], b"payload"),
            message_id(1, "BTCUSDT", [one], b"payload"),
            message_id(1, "BTCUSDT", [one, two], b"other"),
        ]
    )
    assert max(ids.values()) == 1
    assert re.fullmatch(r"1:BTCUSDT:7-9:\d+", message_id(1, "BTCUSDT", [one, two], b"payload"))
