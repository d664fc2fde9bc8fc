"""When the feed is silent: regular outages, and silences on demand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data_manager.actors.exchange.silence import ALL, MAX_SILENCES, Outages, Silences
from data_manager.system.settings import Settings

PURE = settings(derandomize=True, deadline=None, max_examples=50)
NOW = 1_760_918_400_000


@PURE
@given(st.integers(2, 500), st.data())
def test_each_period_ends_in_one_outage(every: int, data: st.DataObject) -> None:
    outage = data.draw(st.integers(1, every - 1))
    outages = Outages(every, outage, NOW)
    for start in (NOW, NOW + 3 * every):
        silent = [outages.cover(start + at) for at in range(every)]
        assert silent == [False] * (every - outage) + [True] * outage


def test_without_outages_the_feed_is_always_there() -> None:
    assert not any(Outages().cover(NOW + at) for at in range(0, 100_000, 7))


def test_outages_come_from_the_settings() -> None:
    outages = Outages.of(Settings(exchange_outage_every_s=60, exchange_outage_s=10), NOW)
    assert [outages.cover(NOW + s * 1000) for s in (0, 49, 50, 59, 60, 110)] == [False, False, True, True, False, True]


def test_an_outage_without_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="EXCHANGE_OUTAGE_S must be less than EXCHANGE_OUTAGE_EVERY_S"):
        Settings(exchange_outage_every_s=10, exchange_outage_s=10)


def test_a_silence_is_of_one_symbol_or_of_all_and_ends_by_itself() -> None:
    silences = Silences()
    silences.begin("BTCUSDT", NOW, seconds=2)
    assert [silences.cover("BTCUSDT", NOW + at) for at in (-1, 0, 1999, 2000)] == [False, True, True, False]
    assert not silences.cover("ETHUSDT", NOW)
    silences.begin(ALL, NOW + 5000, seconds=1)
    assert silences.cover("ETHUSDT", NOW + 5000)


def test_what_was_silent_before_the_end_stays_silent() -> None:
    silences = Silences(Outages(1000, 100, NOW))
    silences.begin(ALL, NOW)
    assert silences.cover("BTCUSDT", NOW + 10**9)
    silences.end(NOW + 500)
    assert silences.cover("BTCUSDT", NOW + 499)
    assert not silences.cover("BTCUSDT", NOW + 500)
    assert silences.cover("BTCUSDT", NOW + 950)  # the outages go on


def test_silences_are_bounded_and_old_ones_make_room() -> None:
    silences = Silences()
    for _ in range(MAX_SILENCES):
        silences.begin(ALL, NOW, seconds=1)
    with pytest.raises(ValueError, match="clear them first"):
        silences.begin(ALL, NOW + 2000)
    silences.begin(ALL, NOW + 61_001)
    assert silences.cover("BTCUSDT", NOW + 61_001)
