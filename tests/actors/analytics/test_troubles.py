"""One symbol's trouble is its own: told once, and an incident for as long as it lasts."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.actors.analytics.troubles import KIND, Troubles
from data_manager.storage.catalog import SqlCatalog
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreCorrupt, StoreFull, StoreUnavailable
from tests.log_capture import logs_to


def cycle(troubles: Troubles, **errors: Exception | None) -> None:
    """One cycle over symbols that fail, or do not."""
    troubles.begin()
    for symbol, error in errors.items():
        with troubles.of(symbol):
            if error is not None:
                raise error


def test_what_concerns_one_symbol_is_told_once_and_what_concerns_all_is_raised() -> None:
    lines, troubles = io.StringIO(), Troubles()
    with logs_to(lines):
        for _ in range(3):
            cycle(troubles, BTC=StoreCorrupt("the file is damaged"), ETH=ValueError("a bug"), ADA=None)
        cycle(troubles, BTC=StoreCorrupt("the file is damaged"), ETH=None)
        cycle(troubles, BTC=StoreCorrupt("in another way"), ETH=ValueError("a bug"))
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["event"], line["symbol"], line["cause"]) for line in told] == [
        (KIND, "BTC", "the file is damaged"),
        (KIND, "ETH", "ValueError: a bug"),
        (KIND, "BTC", "in another way"),
        (KIND, "ETH", "ValueError: a bug"),
    ]
    for error in (StoreUnavailable("away"), StoreFull("full")):
        with pytest.raises(type(error)):
            cycle(troubles, BTC=error)


def test_an_incident_lasts_as_long_as_its_trouble(tmp_path: Path) -> None:
    troubles = Troubles()
    with closing(SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=SystemClock())) as catalog:
        for at in (1000, 2000):
            cycle(troubles, BTC=StoreCorrupt("damaged"), ETH=None)
            troubles.settle(catalog, at)
        (incident,) = catalog.incidents()
        assert (incident.kind, incident.subject, incident.cause) == (KIND, "BTC", "damaged")
        assert (incident.started_ms, incident.ended_ms) == (1000, None)
        cycle(troubles, BTC=None, ETH=None)
        troubles.settle(catalog, 3000)
        (incident,) = catalog.incidents()
        assert incident.ended_ms == 3000
