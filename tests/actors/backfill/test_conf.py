from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from data_manager.actors.backfill.conf import PACKAGED, exchange_conf, parse
from data_manager.storage.records import TIMEFRAMES
from data_manager.system.errors import ConfigError
from data_manager.system.settings_sources import read_yaml


def test_the_packaged_file_says_what_the_exchange_allows_and_where_that_is_written():
    conf = exchange_conf()
    assert (conf.weight_a_minute, conf.funding_requests, conf.funding_seconds) == (2400, 500, 300)
    assert conf.source.startswith("https://developers.binance.com/")
    assert conf.as_of.year >= 2026


def test_every_timeframe_has_a_bootstrap():
    assert exchange_conf().bootstrap.keys() == TIMEFRAMES.keys()


def test_a_stream_belongs_to_one_class_and_each_class_has_a_path():
    streams = exchange_conf().streams
    assert not set(streams.public.names) & set(streams.market.names)
    assert streams.public.path != streams.market.path
    assert streams.reconnect_hours < 24


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda content: content.pop("weight_a_minute"), "weight_a_minute"),
        (lambda content: content.update(weight_a_minute="many"), "weight_a_minute"),
        (lambda content: content.update(wieght="1"), "wieght"),
        (lambda content: content["routes"]["klines"].update(weights={"99": "1", "9": "2"}), "steps of rows"),
        (lambda content: content["bootstrap"].update({"2h": "5"}), "2h, which is no timeframe"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(damage: Callable[[Any], object], sentence: str):
    content = read_yaml(resources.files("data_manager") / PACKAGED)
    damage(content)
    with pytest.raises(ConfigError, match=sentence):
        parse(content)
