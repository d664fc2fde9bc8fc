"""When space is short: at the limit, and until a little beyond it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.space import MIB, Limits, Shortage, Space, shortages
from data_manager.system.settings import Settings

LIMITS = Limits(data_bytes=1000, free_bytes=200)
sizes = st.integers(0, 3000)
spaces = st.builds(Space, sizes, st.none() | sizes)
limits = st.builds(Limits, sizes, sizes)
befores = st.sets(st.sampled_from(Shortage))


def test_the_limits_are_those_of_the_settings() -> None:
    made = Limits.of(Settings(market_quota_mb=500, shed_at_percent=80, disk_low_mb=64, disk_min_mb=16))
    assert made == Limits(400 * MIB, 64 * MIB)


def test_a_shortage_begins_at_its_limit_and_ends_beyond_it() -> None:
    at_the_limit, below, at_the_end = Space(1000, None), Space(951, None), Space(950, None)
    assert shortages(at_the_limit, LIMITS, ()) == {}
    assert shortages(Space(1001, None), LIMITS, ()) == {Shortage.QUOTA: 51}
    assert shortages(below, LIMITS, {Shortage.QUOTA}) == {Shortage.QUOTA: 1}
    assert shortages(below, LIMITS, ()) == {}
    assert shortages(at_the_end, LIMITS, {Shortage.QUOTA}) == {}


def test_a_disk_is_short_below_its_limit() -> None:
    assert shortages(Space(0, 200), LIMITS, ()) == {}
    assert shortages(Space(0, 199), LIMITS, ()) == {Shortage.DISK: 11}
    assert shortages(Space(0, 209), LIMITS, {Shortage.DISK}) == {Shortage.DISK: 1}
    assert shortages(Space(0, 210), LIMITS, {Shortage.DISK}) == {}


@settings(derandomize=True, deadline=None)
@given(spaces, befores)
def test_without_limits_nothing_is_short(space: Space, before: set[Shortage]) -> None:
    assert shortages(space, Limits(0, 0), before) == {}


@settings(derandomize=True, deadline=None)
@given(spaces, limits, befores)
def test_what_was_short_stays_so_at_least_as_long(space: Space, limits: Limits, before: set[Shortage]) -> None:
    assert shortages(space, limits, ()).keys() <= shortages(space, limits, set(Shortage)).keys()
    assert shortages(space, limits, before).keys() <= shortages(space, limits, set(Shortage)).keys()


@settings(derandomize=True, deadline=None)
@given(spaces, limits, befores)
def test_freeing_what_is_asked_for_ends_it(space: Space, limits: Limits, before: set[Shortage]) -> None:
    short = shortages(space, limits, before)
    assert all(excess > 0 for excess in short.values())
    freed = max(short.values(), default=0)
    after = Space(space.data_bytes - freed, None if space.free_bytes is None else space.free_bytes + freed)
    assert shortages(after, limits, set(short)) == {}
