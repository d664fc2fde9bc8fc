"""Limits of one address: 429 above them, 418 for whoever ignores it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.exchange.meter import BAN_S, FUNDING_A_WINDOW, FUNDING_WINDOW_MS, IGNORED, Meter, Window
from data_manager.actors.exchange.queries import Refusal

PURE = settings(derandomize=True, deadline=None, max_examples=50)
NOW = 1_760_918_400_000  # a full minute, and a full five minutes


def refused(meter: Meter, weight: int, now_ms: int) -> tuple[int, int | None]:
    with pytest.raises(Refusal) as refusal:
        meter.charge(weight, now_ms)
    return refusal.value.status, refusal.value.retry_after_s


@PURE
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), max_size=30))
def test_a_window_allows_what_brute_force_allows(steps: list[tuple[int, int]]) -> None:
    window, now, taken = Window(1000, 100), NOW, list[tuple[int, int]]()
    for pause, amount in steps:
        now += pause
        taken.append((now, amount))
        total = sum(each for at, each in taken if at // 1000 == now // 1000)
        assert window.add(amount, now) == (total <= 100)
        assert window.used == total


def test_weight_counts_by_the_minute_of_the_clock() -> None:
    meter = Meter(100)
    meter.charge(60, NOW)
    meter.charge(40, NOW + 59_999)
    assert meter.used(NOW + 59_999) == 100
    assert meter.used(NOW + 60_000) == 0
    meter.charge(100, NOW + 60_000)


def test_one_too_many_is_refused_until_the_next_minute() -> None:
    meter = Meter(100)
    meter.charge(100, NOW + 1)
    assert refused(meter, 1, NOW + 30_500) == (429, 30)
    assert refused(meter, 1, NOW + 58_500) == (429, 2)
    meter.charge(100, NOW + 60_500)


def test_who_goes_on_is_banned_for_longer() -> None:
    meter = Meter(100)
    meter.charge(100, NOW)
    answers = [refused(meter, 1, NOW + 10_000) for _ in range(IGNORED + 2)]
    assert answers == [(429, 50)] * (IGNORED + 1) + [(418, BAN_S)]
    assert refused(meter, 1, NOW + 70_000) == (418, BAN_S - 60)
    meter.charge(1, NOW + 10_000 + BAN_S * 1000)


def test_who_waits_may_come_again_as_often() -> None:
    meter = Meter(100)
    for minute in range(5):
        meter.charge(100, NOW + minute * 60_000)
        assert [refused(meter, 1, NOW + minute * 60_000)[0] for _ in range(IGNORED)] == [429] * IGNORED


def test_funding_has_its_own_limit_and_weighs_nothing() -> None:
    meter = Meter(100)
    for _ in range(FUNDING_A_WINDOW):
        meter.charge_funding(NOW)
    assert meter.used(NOW) == 0
    with pytest.raises(Refusal) as refusal:
        meter.charge_funding(NOW + 60_000)
    assert (refusal.value.status, refusal.value.retry_after_s) == (429, 240)
    meter.charge_funding(NOW + FUNDING_WINDOW_MS)
