"""conf/analytics.yaml: what is packaged, and what is said of a file that was changed badly."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from data_manager.actors.analytics.bars import span_ms
from data_manager.actors.analytics.conf import PACKAGED, analytics_conf, parse
from data_manager.storage.records import TIMEFRAMES
from data_manager.system.errors import ConfigError
from data_manager.system.settings_sources import read_yaml
from tests.actors.analytics.series import DAY_MS, HOUR_MS


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, object]:
    content: dict[str, Any] = read_yaml(resources.files("data_manager") / PACKAGED)
    change(content)
    return content


def test_hours_look_back_as_the_original_does():
    hours = analytics_conf().timeframes["1h"]
    assert (hours.volatility, hours.volume, hours.trend, hours.deviation) == ("30d", "24h", "30d", "30d")
    assert (hours.seasonality, hours.correlation, hours.anomalies) == ("90d", "30d", "7d")


def test_days_look_back_a_year_and_volume_a_month():
    days = analytics_conf().timeframes["1d"]
    assert (days.volatility, days.volume, days.seasonality, days.regime) == ("365d", "30d", "365d", "365d")


def test_one_read_is_as_long_as_its_longest_window_and_the_warm_up():
    conf = analytics_conf()
    assert conf.history_ms("1h") == 90 * DAY_MS + 150 * HOUR_MS
    assert conf.history_ms("1d") == (365 + 150) * DAY_MS


def test_a_longer_training_makes_a_longer_read():
    conf = parse(changed(lambda c: c["timeframes"]["1h"].update(training="120d")))
    assert conf.history_ms("1h") == 127 * DAY_MS + 150 * HOUR_MS
    assert set(conf.timeframes) == {"1h", "1d"}


def test_the_bars_inside_are_shorter_and_the_store_has_them():
    for timeframe, windows in analytics_conf().timeframes.items():
        assert TIMEFRAMES[timeframe] % TIMEFRAMES[windows.inside] == 0
        assert TIMEFRAMES[windows.inside] < TIMEFRAMES[timeframe]


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_what_anomalies_are_judged_by_fits_into_the_read_with_its_warm_up(timeframe: str):
    conf = analytics_conf()
    windows = conf.timeframes[timeframe]
    together = span_ms(windows.anomalies) + span_ms(windows.training)
    assert together + conf.anomalies.warm_up * TIMEFRAMES[timeframe] <= conf.history_ms(timeframe)


def test_volatility_levels_are_those_of_a_symbol_without_history():
    conf = analytics_conf().regime
    assert conf.volatility_levels == (0.40, 0.80)
    assert conf.volatility_quantiles == (0.25, 0.75)
    assert conf.volume_levels == (0.7, 1.5)


def test_the_limits_of_anomalies():
    conf = analytics_conf().anomalies
    assert (conf.limits.medium, conf.limits.high, conf.limits.critical) == (4, 6, 8)
    assert (conf.medium_quantile, conf.high_quantile, conf.most_rows) == (0.999, 0.9999, 20)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["trend"].pop("macd_fast"), "macd_fast"),
        (lambda c: c["trend"].update(minimum="30"), "minimum must cover"),
        (lambda c: c["volatility"].update(minimum="2"), "minimum must be at least 3"),
        (lambda c: c["volume"].update(sma="20"), "sma"),
        (lambda c: c["timeframes"]["1h"].update(volume="1 day"), "a window is a number of hours or days"),
        (lambda c: c["timeframes"]["1h"].update(inside="1h"), "must be a shorter timeframe"),
        (lambda c: c["timeframes"]["1h"].update(inside="3m"), "inside names 3m"),
        (lambda c: c["timeframes"].update({"2h": c["timeframes"]["1h"]}), "timeframes or on_demand names 2h"),
        (lambda c: c["anomalies"]["limits"].update(high="3"), "limits must ascend"),
        (lambda c: c["anomalies"].update(medium_quantile="1.5"), "quantiles must ascend"),
        (lambda c: c.update(warm_up_bars="-1"), "warm_up_bars must not be below 0"),
        (lambda c: c["regime"].update(volume_levels=["0.7"]), "volume_levels"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_what_is_wrong(change: Callable[[dict[str, Any]], object], told: str):
    with pytest.raises(ConfigError, match=told) as refused:
        parse(changed(change))
    assert PACKAGED in str(refused.value)
