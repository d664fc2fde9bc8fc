"""A frame of the exchange and the message that is made of it."""

from __future__ import annotations

import random
import uuid

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.feed.envelope import envelope, parse, timestamp
from data_manager.system.errors import DataError

NOW_US = 1_760_918_400_131_245
# with spaces, an unknown key and an exponent: what a decoder and an encoder between would change
EVENT = b'{"e":"aggTrade", "E":1760918400130,"s":"BTCUSDT","p":"110850.40","q":"0.350","st":1e0,"nq":{"x": [1, 2]}}'
STAMP = "2025-10-20T00:00:00.131245Z"


def test_the_message_is_the_contract_s_to_the_byte():
    frame = parse(b'{"stream":"btcusdt@aggTrade","data":' + EVENT + b"}")
    message = envelope(frame.stream, frame.data, timestamp(NOW_US), random.Random(7))
    message_id = orjson.loads(message)["message_id"]
    assert message == (
        b'{"stream":"btcusdt@aggTrade","data":' + EVENT + b',"timestamp":"2025-10-20T00:00:00.131245Z",'
        b'"message_id":"' + message_id.encode() + b'","source":"binance-websocket","version":"1.0"}'
    )
    assert str(uuid.UUID(message_id)) == message_id
    assert uuid.UUID(message_id).version == 4


@pytest.mark.parametrize(
    "name",
    ["btcusdt@depth20@100ms", "btcusdt@depth@100ms", "btcusdt@kline_1m", "btcusdt@markPrice@1s", "币安usdt@ticker"],
)
def test_the_name_is_the_exchange_s_own(name: str):
    frame = parse(orjson.dumps({"stream": name, "data": {}}))
    assert orjson.loads(envelope(frame.stream, frame.data, STAMP, random.Random(1)))["stream"] == name


def test_every_message_has_an_id_of_its_own():
    rng = random.Random(3)
    ids = {orjson.loads(envelope("a@trade", b"{}", STAMP, rng))["message_id"] for _ in range(1000)}
    assert len(ids) == 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(derandomize=True, deadline=None)
@given(st.text(min_size=1), JSON, st.booleans())
def test_whatever_the_event_is_its_bytes_stay(name: str, event: object, indented: bool):
    raw = orjson.dumps(event, option=orjson.OPT_INDENT_2 if indented else 0)
    frame = parse(b'{"data": ' + raw + b', "stream": ' + orjson.dumps(name) + b"}")
    message = envelope(frame.stream, frame.data, STAMP, random.Random(1))
    assert b',"data":' + raw + b',"timestamp"' in message
    assert orjson.loads(message)["stream"] == name


@pytest.mark.parametrize(
    "text",
    [
        b'{"result":null,"id":1}',
        b'{"stream":"","data":{}}',
        b'{"stream":"btcusdt@trade"}',
        b'{"e":"serverShutdown","E":1}',
        b"[]",
        b"not json",
        b'{"stream":"\xff","data":{}}',
        b"",
    ],
)
def test_what_is_no_event_of_a_stream_is_refused_with_a_sentence(text: bytes):
    with pytest.raises(DataError, match="The exchange sent no event of a stream") as refused:
        parse(text)
    assert refused.value.reason == "not_a_frame"


def test_the_sentence_is_short_whatever_was_sent():
    with pytest.raises(DataError) as refused:
        parse(b"x" * 100_000)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("now_us", "text"),
    [
        (NOW_US, STAMP),
        (NOW_US - 131_245, "2025-10-20T00:00:00Z"),
        (NOW_US - 131_245 + 500_000, "2025-10-20T00:00:00.500000Z"),
    ],
)
def test_time_has_six_decimals_or_none(now_us: int, text: str):
    assert timestamp(now_us) == text
