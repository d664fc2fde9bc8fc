"""First history: one job for each symbol and timeframe, once ever, and few at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from data_manager.actors.backfill import history as history_module
from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.backfill.history import AGAIN_MS, History, bootstrap_id
from data_manager.actors.backfill.jobs import completed, failed, work_of
from data_manager.actors.backfill.plan import Work, bootstrap
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Job
from data_manager.storage.records import Symbol
from tests.actors.backfill.working import BTC, ETH, HOUR, NOW
from tests.storage.examples import FixedClock

DAYS = exchange_conf().bootstrap


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    opened = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=FixedClock(NOW), rng=random.Random(1))
    yield opened
    opened.close()


def works(*symbols: str, now_ms: int = NOW) -> list[Work]:
    return bootstrap([Symbol(symbol) for symbol in symbols], DAYS, now_ms)


def jobs(catalog: SqlCatalog, *statuses: str) -> list[Job]:
    return catalog.jobs(statuses=statuses, limit=1000)[0]


def test_each_timeframe_of_each_symbol_has_a_job(catalog: SqlCatalog) -> None:
    wanted = works(BTC, ETH)
    assert History(wanted).make(catalog, NOW) == 12
    assert {work_of(job).within for job in jobs(catalog)} == {work.within for work in wanted}
    assert {(job.reason, job.priority) for job in jobs(catalog)} == {("bootstrap", 10)}
    assert all(work_of(job).newest_first for job in jobs(catalog))


def test_a_restart_makes_none_of_them_again(catalog: SqlCatalog) -> None:
    History(works(BTC)).make(catalog, NOW)
    before = jobs(catalog)
    assert History(works(BTC, now_ms=NOW + 5 * HOUR)).make(catalog, NOW + 5 * HOUR) == 0
    assert jobs(catalog) == before


def test_a_symbol_that_comes_later_gets_its_own(catalog: SqlCatalog) -> None:
    History(works(BTC)).make(catalog, NOW)
    assert History(works(BTC, ETH)).make(catalog, NOW) == 6


def test_only_so_many_wait_at_a_time(catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MAX_WAITING", 20)
    history = History(works(*(f"SYM{number}USDT" for number in range(9))))
    assert history.make(catalog, NOW) == 20
    assert history.make(catalog, NOW) == 0
    first = jobs(catalog)[0]
    catalog.save_job(completed(first, NOW))
    assert history.make(catalog, NOW) == 1
    assert not history.is_there


def test_all_of_it_is_there_when_every_job_was_done(catalog: SqlCatalog) -> None:
    history = History(works(BTC))
    history.make(catalog, NOW)
    for each in jobs(catalog):
        catalog.save_job(completed(each, NOW))
    assert history.make(catalog, NOW) == 0
    assert history.is_there
    assert History([]).is_there


def test_a_job_that_failed_goes_on_where_it_stopped_after_a_while(catalog: SqlCatalog) -> None:
    history = History(works(BTC)[:1])
    history.make(catalog, NOW)
    (first,) = jobs(catalog)
    catalog.save_job(failed(replace(first, checkpoint='{"time_ms":7}'), "no network", NOW))
    assert history.make(catalog, NOW + AGAIN_MS - 1) == 0
    assert history.make(catalog, NOW + AGAIN_MS) == 1
    (again,) = jobs(catalog, "pending")
    assert (again.job_id, again.checkpoint, again.error_message) == (first.job_id, '{"time_ms":7}', None)


def test_ids_tell_symbols_and_timeframes_apart() -> None:
    wanted = works(BTC, ETH)
    assert len({bootstrap_id(work) for work in wanted}) == len(wanted)
