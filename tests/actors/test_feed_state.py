import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.feed_state import HEADROOM_WINDOW, FeedState, Headroom, headroom_s

BASE = FeedState(
    taken=0.0,
    messages=1_000,
    size=100_000,
    first_seq=1,
    last_seq=1_000,
    acked_through=1_000,
    delivered_through=1_000,
    max_messages=0,
    max_size=0,
    max_age_s=0.0,
)


def at(taken: float, last_seq: int, **changes: object) -> FeedState:
    fields = {"taken": taken, "last_seq": last_seq, "acked_through": last_seq, **changes}
    return msgspec.structs.replace(BASE, **fields)


def test_headroom_by_bytes_is_the_room_at_the_present_rate_and_message_size():
    # 10 messages/s of 100 bytes into 1 MB
    assert headroom_s(at(0, 1_000), at(10, 1_100, max_size=1_000_000)) == pytest.approx(1_000)


def test_what_waits_for_the_router_already_takes_its_part():
    waiting = at(10, 1_100, max_size=1_000_000, acked_through=100)
    assert headroom_s(at(0, 1_000), waiting) == pytest.approx(900)


def test_the_narrowest_limit_counts():
    limits = {"max_size": 1_000_000, "max_age_s": 60.0, "max_messages": 5_000}
    assert headroom_s(at(0, 1_000), at(10, 1_100, **limits)) == pytest.approx(60)
    assert headroom_s(at(0, 1_000), at(10, 1_100, **limits | {"max_messages": 200})) == pytest.approx(20)


def test_headroom_is_unknown_without_traffic_without_limits_and_in_an_empty_stream():
    assert headroom_s(at(0, 1_000), at(10, 1_000, max_size=1_000_000)) is None
    assert headroom_s(at(0, 1_000), at(10, 1_100)) is None
    assert headroom_s(at(0, 1_000), at(10, 1_100, max_size=1, messages=0, size=0)) is None


@settings(derandomize=True, deadline=None)
@given(st.integers(1_001, 2_000), st.integers(0, 2_000), st.integers(1, 10**7), st.floats(0, 1e5))
def test_headroom_is_never_negative(last_seq, acked, max_size, max_age_s):
    newer = at(5, last_seq, acked_through=min(acked, last_seq), max_size=max_size, max_age_s=max_age_s)
    assert headroom_s(at(0, 1_000), newer) >= 0


def test_the_rate_is_that_of_the_last_states():
    headroom = Headroom()
    assert headroom.after(at(0, 0, max_age_s=1.0)) is None
    for second in range(1, 30):  # a burst at first, then one message a second
        headroom.after(at(second, 10_000 + second, max_size=1_000_000))
    last = at(30, 10_030, max_size=1_000_000)
    assert headroom.after(last) == pytest.approx(10_000)
    assert HEADROOM_WINDOW < 30


def test_a_stream_that_begins_anew_does_not_count_backwards():
    headroom = Headroom()
    headroom.after(at(0, 5_000, max_size=1_000_000))
    assert headroom.after(at(1, 10, max_size=1_000_000)) is None
    assert headroom.after(at(2, 20, max_size=1_000_000)) == pytest.approx(1_000)
