"""Results as documents: all of them kept, and what a later cycle needs found again."""

from __future__ import annotations

import msgspec
import pytest

from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.documents import Summed, document, summed_in
from data_manager.actors.analytics.spread import WeightedSum
from data_manager.actors.analytics.volatility import volatility
from data_manager.storage.computed import METRICS, bars_used
from tests.actors.analytics.computing import body
from tests.actors.analytics.series import all_of, last, walk

CONF = analytics_conf()
SUMMED = Summed(5, {"bid_ask_spread": WeightedSum(0.1 + 0.2, 60_000), "imbalance[5]": WeightedSum(-0.5, 1)})


def test_a_document_says_what_its_result_does_and_how_far_it_can_be_trusted() -> None:
    bars = walk(60)
    result = volatility(bars, last(bars, 40), CONF.volatility)
    row = document("volatility", "1h", 7, 8, result)
    said = body(row)
    assert (row.category, row.timeframe, row.time_ms, row.computed_ms, row.stored_ms) == ("volatility", "1h", 7, 8, 8)
    assert row.state == "partial"
    assert list(said) == [*(metric.name for metric in METRICS["volatility"]), "metadata"]
    assert float(said["rolling_stddev"]) == result.rolling_stddev
    assert said["realized_variance"] is None
    about = said["metadata"]
    assert about["reasons"] == {"realized_variance": "no shorter bars were given"}
    assert (about["method"], about["window"], about["n"], about["warm_up"]) == ("rolling_stddev", "40 bars", 40, 20)
    assert about["parameters"]["annualization_factor"] == bars.annualization_factor
    assert bars_used(row) == 40


def test_the_sums_of_books_are_found_again_as_they_were() -> None:
    bars = walk(60)
    row = document("spread", "1h", 7, 8, volatility(bars, all_of(bars), CONF.volatility), SUMMED)
    assert summed_in(row) == SUMMED


def test_a_document_without_sums_has_none_to_be_found() -> None:
    bars = walk(60)
    with pytest.raises(msgspec.ValidationError):
        summed_in(document("spread", "1h", 7, 8, volatility(bars, all_of(bars), CONF.volatility)))
