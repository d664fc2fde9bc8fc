"""Seasonality: hours, weekdays and cycles of log returns, and what days and short series do not tell."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.entropy import histogram_entropy, permutation_entropy, spectral_entropy
from data_manager.actors.analytics.seasonality import Seasonality, seasonality
from data_manager.actors.analytics.spectrum import periodogram
from tests.actors.analytics.series import (
    DAY_MS,
    HOUR_MS,
    all_of,
    bars_from,
    last,
    scaled,
    still,
    unknown_volumes,
    walk,
    without,
)

CONF = analytics_conf().seasonality
QUARTER = 90 * 24


def of(bars: Bars, window: Window | None = None) -> Seasonality:
    return seasonality(bars, window or all_of(bars), CONF)


def frame(bars: Bars) -> pd.DataFrame:
    times = pd.to_datetime(bars.open_times, unit="ms", utc=True)
    returns = pd.Series(np.log(bars.close)).diff().to_numpy() * 100
    return pd.DataFrame({"return": returns, "volume": bars.volume, "hour": times.hour, "day": times.day_of_week})


def test_patterns_are_the_means_that_a_calendar_gives():
    bars = walk(QUARTER)
    table = frame(bars)
    result = of(bars)
    hourly = table.groupby("hour")["return"].mean()
    daily = table.groupby("day")["return"].mean()
    weekly = table.groupby(table["day"] * 24 + table["hour"])
    assert result.hourly_pattern == pytest.approx({str(hour): hourly[hour] for hour in range(24)}, rel=1e-9)
    assert result.daily_pattern == pytest.approx({str(day): daily[day] for day in range(7)}, rel=1e-9)
    returns, volumes = weekly["return"].mean(), weekly["volume"].mean()
    assert result.hour_of_week_return == pytest.approx({str(k): returns[k] for k in range(168)}, rel=1e-9)
    assert result.hour_of_week_volume == pytest.approx({str(k): volumes[k] for k in range(168)}, rel=1e-9)


def test_the_newest_return_is_compared_with_its_own_hour():
    bars = walk(QUARTER)
    table = frame(bars)
    same = table[table["hour"] == table["hour"].iloc[-1]]["return"]
    expected = (table["return"].iloc[-1] - same.mean()) / same.std()
    assert of(bars).seasonal_deviation == pytest.approx(expected, rel=1e-9)


def test_entropies_are_of_log_returns():
    bars = walk(QUARTER)
    returns = np.diff(np.log(bars.close))
    result = of(bars)
    assert result.entropy_index == histogram_entropy(returns, 50)
    assert result.permutation_entropy == permutation_entropy(returns, 4)
    assert result.spectral_entropy == spectral_entropy(periodogram(returns)[1])


def test_a_daily_rhythm_is_the_dominant_cycle():
    random = np.random.default_rng(6)
    returns = random.normal(0, 0.004, QUARTER) + 0.003 * np.sin(2 * np.pi * np.arange(QUARTER) / 24)
    result = of(walk(QUARTER, returns=returns))
    assert result.dominant_cycle == 24
    assert result.cycles[0].p_value < 0.01
    assert "cycles" not in result.reasons


def test_a_walk_has_no_cycle_and_says_so():
    returns = np.random.default_rng(1).normal(0, 0.004, QUARTER)
    result = of(walk(QUARTER, returns=returns))
    assert (result.dominant_cycle, result.cycles) == (None, None)
    assert result.reasons["dominant_cycle"] == "Fisher's test finds nothing but white noise at the level 0.01"


def test_days_have_weekdays_and_no_hours():
    result = of(walk(365, interval_ms=DAY_MS))
    hours = {"hourly_pattern", "seasonal_deviation", "hour_of_week_return", "hour_of_week_volume"}
    assert {result.reasons[name] for name in hours} == {"bars longer than an hour belong to no hour"}
    assert set(result.daily_pattern) == {str(day) for day in range(7)}
    assert None not in result.daily_pattern.values()


def test_the_first_day_is_a_monday():
    """2022-01-03 was one; START_MS is the Saturday before. Only that day's bars move."""
    closes = np.concatenate((np.full(48, 100.0), 100 * 1.01 ** np.arange(1, 25), np.full(100, 100 * 1.01**24)))
    result = of(bars_from(closes))
    moved = {day for day, mean in result.daily_pattern.items() if mean}
    assert moved == {"0"}


def test_a_week_that_is_not_whole_has_hours_that_nobody_knows():
    result = of(walk(100))
    assert result.hour_of_week_return["167"] is not None  # Sunday 23:00
    unknown = [key for key, each in result.hour_of_week_return.items() if each is None]
    assert len(unknown) == 168 - 99
    assert result.reasons[f"hour_of_week_return[{unknown[0]}]"] == "no bar of this time is known"
    assert result.state == "partial"


def test_a_source_without_volumes_still_has_returns():
    result = of(unknown_volumes(walk(QUARTER)))
    assert result.hour_of_week_volume is None
    assert result.reasons["hour_of_week_volume"] == "no bar tells it"
    assert None not in result.hourly_pattern.values()


def test_what_needs_returns_in_a_row_takes_the_longest_stretch():
    bars = without(walk(QUARTER), 500)
    result = of(bars)
    run = np.diff(np.log(bars.close[500:]))
    assert result.envelope.parameters["fft_size"] == len(run)
    assert result.permutation_entropy == permutation_entropy(run, 4)
    assert result.envelope.gaps == 1


def test_a_series_in_pieces_has_patterns_and_no_spectrum():
    bars = without(walk(QUARTER), *range(50, QUARTER, 50))
    result = of(bars)
    assert result.reasons["spectral_entropy"] == "49 returns in a row are there, and it takes 100"
    assert result.reasons["permutation_entropy"] == "49 returns in a row are there, and it takes 240"
    assert None not in result.hourly_pattern.values()


def test_below_240_returns_there_is_no_permutation_entropy():
    assert of(walk(240)).permutation_entropy is None
    assert of(walk(241)).permutation_entropy is not None


def test_a_newest_bar_after_a_hole_has_no_return_to_compare():
    bars = walk(200)
    result = of(without(bars, 198))
    assert result.reasons["seasonal_deviation"] == "the bar before the newest is missing"


def test_an_hour_seen_twice_has_no_deviation():
    brief = seasonality(walk(40), all_of(walk(40)), msgspec.structs.replace(CONF, minimum=30))
    assert brief.reasons["seasonal_deviation"] == "2 returns of its hour are there, and it takes 3"
    assert brief.reasons["entropy_index"] == "39 returns are there, and it takes 50"


def test_bars_of_a_quarter_of_an_hour_share_their_hours():
    bars = walk(4 * 24 * 30, interval_ms=HOUR_MS // 4)
    hourly = frame(bars).groupby("hour")["return"].mean()
    assert of(bars).hourly_pattern == pytest.approx({str(hour): hourly[hour] for hour in range(24)}, rel=1e-9)


def test_an_hour_whose_returns_are_all_the_same_has_no_deviation():
    closes = 100 * np.cumprod(np.where(np.arange(300) % 24 == 299 % 24, 1.0, 1.001))
    result = of(bars_from(closes))
    assert result.reasons["seasonal_deviation"] == "the returns do not vary"


def test_too_few_bars_say_nothing():
    assert of(walk(99)).state == "empty"
    assert of(walk(100)).entropy_index is not None


def test_a_price_that_stands_still_has_patterns_of_nothing():
    result = of(still(QUARTER))
    assert set(result.hourly_pattern.values()) == {0.0}
    names = ("seasonal_deviation", "entropy_index", "dominant_cycle", "spectral_entropy", "permutation_entropy")
    assert {result.reasons[name] for name in names} == {"the returns do not vary"}


def test_units_of_price_make_no_difference():
    bars = walk(QUARTER)
    ours, other = of(bars), of(scaled(bars, price=1e-3))
    assert other.hourly_pattern == pytest.approx(ours.hourly_pattern, rel=1e-6, abs=1e-12)
    assert other.spectral_entropy == pytest.approx(ours.spectral_entropy, rel=1e-9)
    assert other.hour_of_week_volume == ours.hour_of_week_volume


def test_only_the_window_counts():
    bars = walk(QUARTER)
    inside = bars.slice(QUARTER - 300, QUARTER)
    assert of(bars, last(bars, 300)).hourly_pattern == of(inside).hourly_pattern
    assert len(inside) * HOUR_MS == all_of(inside).end_ms - all_of(inside).start_ms
