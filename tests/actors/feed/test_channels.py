"""Which streams are asked for, and over how many connections."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.feed.channels import channels

STREAMS = exchange_conf().streams


def test_the_packaged_streams_are_the_exchange_s_own_names_in_the_class_that_serves_them():
    public, market = channels(["BTCUSDT"], STREAMS, "auto")
    assert (public.stream_class, market.stream_class) == ("public", "market")
    assert public.target == "/public/stream?streams=btcusdt@depth20@100ms/btcusdt@bookTicker"
    assert market.path == "/market/stream"
    assert market.names == (
        "btcusdt@aggTrade",
        "btcusdt@kline_1m",
        "btcusdt@ticker",
        "btcusdt@markPrice@1s",
        "btcusdt@forceOrder",
    )


@pytest.mark.parametrize(
    ("depth_kind", "name"), [("auto", "depth20@100ms"), ("partial", "depth20@100ms"), ("diff", "depth@100ms")]
)
def test_the_kind_of_depth_decides_between_two_streams(depth_kind: str, name: str):
    public = channels(["ETHUSDT"], STREAMS, depth_kind)[0]
    assert public.names == (f"ethusdt@{name}", "ethusdt@bookTicker")


SYMBOLS = st.lists(st.from_regex(r"[A-Z0-9]{2,8}USDT", fullmatch=True), min_size=1, max_size=60, unique=True)


@settings(derandomize=True, deadline=None)
@given(SYMBOLS, st.integers(1, 50))
def test_every_stream_is_carried_once_by_as_few_connections_as_can_be(symbols: list[str], most: int):
    made = channels(symbols, msgspec.structs.replace(STREAMS, max_names=most), "auto")
    assert all(1 <= len(channel.names) <= most for channel in made)
    for served in (STREAMS.public, STREAMS.market):
        carried = [name for channel in made if channel.path == served.path for name in channel.names]
        kinds = {STREAMS.partial_depth if name == "depth" else name for name in served.names}
        assert sorted(carried) == sorted(f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds)
        assert sum(channel.path == served.path for channel in made) == -(-len(carried) // most)
