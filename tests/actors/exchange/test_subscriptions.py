"""Which streams a connection of the simulated exchange carries."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.exchange.subscriptions import MARKET, MAX_STREAMS, PUBLIC, Subscriptions, path_of
from data_manager.actors.feed.channels import channels
from tests.actors.feed.feeding import STREAMS


@pytest.mark.parametrize("depth_kind", ["auto", "diff"])
def test_each_stream_of_the_feed_is_served_where_the_feed_asks_for_it(depth_kind: str):
    for channel in channels(["BTCUSDT"], STREAMS, depth_kind):
        assert Subscriptions(channel.path).add(channel.names) is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("btcusdt@depth5", PUBLIC),
        ("btcusdt@depth@500ms", PUBLIC),
        ("btcusdt@rpiDepth@500ms", PUBLIC),
        ("btcusdt@bookTicker", PUBLIC),
        ("btcusdt@trade", MARKET),
        ("btcusdt@miniTicker", MARKET),
        ("btcusdt@forceOrder", MARKET),
    ],
)
def test_order_books_are_a_class_of_their_own(name: str, path: str):
    assert path_of(name) == path
    assert Subscriptions(path).add([name]) is None
    other = MARKET if path == PUBLIC else PUBLIC
    assert Subscriptions(other).add([name]) == f"{name} is served by {path}."


NAMES = st.sampled_from([f"s{n}@{kind}" for n in range(4) for kind in ("trade", "ticker", "bookTicker")])
STEPS = st.lists(st.tuples(st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE"]), st.lists(NAMES, max_size=4)))


@settings(derandomize=True, deadline=None)
@given(STEPS)
def test_requests_are_carried_out_whole_or_not_at_all(steps: list[tuple[str, list[str]]]):
    carried, model = Subscriptions(MARKET), set[str]()
    for number, (method, names) in enumerate(steps):
        answer = orjson.loads(carried.obey(orjson.dumps({"method": method, "params": names, "id": number})))
        mixed = method == "SUBSCRIBE" and any(path_of(name) == PUBLIC for name in names)
        assert answer["id"] == number
        assert ("error" in answer) is mixed
        if not mixed:
            model = model | set(names) if method == "SUBSCRIBE" else model - set(names)
        assert carried.names == model
    listed = orjson.loads(carried.obey(b'{"method":"LIST_SUBSCRIPTIONS","id":"last"}'))
    assert listed["id"] == "last"
    assert sorted(listed["result"]) == sorted(model)


def test_a_connection_has_a_limit_and_repeats_do_not_count():
    carried = Subscriptions(MARKET)
    names = [f"s{n}@trade" for n in range(MAX_STREAMS)]
    assert carried.add(names) is None
    assert carried.add(names) is None
    assert carried.add(["one@trade"]) == f"A connection carries at most {MAX_STREAMS} streams."
    assert len(carried.names) == MAX_STREAMS


@pytest.mark.parametrize(
    "request_", [b"", b"no json", b"[]", b'{"method":"DANCE","id":1}', b'{"method":"SUBSCRIBE"}', b"\xff", b'{"id":{}}']
)
def test_what_is_no_request_is_answered_with_an_error(request_: bytes):
    answer = orjson.loads(Subscriptions(MARKET).obey(request_))
    assert answer["error"]["code"] == 2
    assert answer["error"]["msg"].startswith("Invalid request: ")
    assert answer["id"] is None
