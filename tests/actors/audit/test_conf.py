from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

from data_manager.actors.audit.conf import PACKAGED, audit_conf, parse
from data_manager.storage.records import Candle, Depth, Liquidation, Series, Symbol
from data_manager.system.errors import ConfigError
from data_manager.system.settings_sources import read_yaml

BTC = Symbol("BTCUSDT")


def content() -> dict[str, Any]:
    return dict(read_yaml(resources.files("data_manager") / PACKAGED))


def test_the_packaged_file_is_whole() -> None:
    conf = audit_conf()
    assert conf.health.weights.completeness == 0.4
    assert set(conf.silence.after_s) <= set(conf.interval_s)


def test_an_interval_is_the_timeframes_or_the_types_or_unknown() -> None:
    conf = audit_conf()
    assert conf.interval_of(Series(BTC, Candle, "4h")) == 14_400
    assert conf.interval_of(Series(BTC, Depth)) == 1
    assert conf.interval_of(Series(BTC, Liquidation)) is None


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("health", "weights"), {"completeness": "0.4", "consistency": "0.4", "freshness": "0.4"}, "sum to 1.2"),
        (("health", "healthy"), "60", "degraded must be less than healthy"),
        (("health", "stale_intervals"), "2", "fresh_intervals less than stale_intervals"),
        (("quiet", "samples"), "0", "quiet.samples"),
        (("quiet", "sample"), "1", "unknown field `sample`"),
        (("silence", "paces"), "many", "silence.paces"),
    ],
)
def test_what_is_wrong_with_it_is_said_with_its_place(path: tuple[str, str], value: object, sentence: str) -> None:
    wrong = content()
    wrong[path[0]] = {**wrong[path[0]], path[1]: value}
    with pytest.raises(ConfigError, match=sentence):
        parse(wrong)
