"""What stores are asked counts, on real ones."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.actors.measuring import measured
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import MYSQL, SQLITE
from data_manager.storage.protocols import MarketStore, Query, Write
from data_manager.storage.records import Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreUnavailable
from data_manager.system.metrics import Metrics, series

BTC = Symbol("BTCUSDT")
NOWHERE = "mysql+pymysql://u:p@127.0.0.1:9/db"  # the discard port: nobody listens


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.totals().counters.get(series(f"data_manager_{name}", labels), 0.0)


def market(folder: Path, metrics: Metrics) -> MarketStore:
    store: MarketStore = SqliteMarketStore(folder, clock=SystemClock())
    return measured(store, SQLITE, metrics, SystemClock())


def test_each_call_counts_with_its_time_and_answers_as_the_store_does(tmp_path: Path) -> None:
    metrics = Metrics()
    with closing(market(tmp_path, metrics)) as store:
        store.write(BTC, Write())
        assert store.rows(BTC, Trade, Query(limit=5)) == []
        assert store.rows(BTC, Trade, query=Query(limit=5)) == []
        assert store.expires_itself is False
        assert store.free_bytes()
    write = {"database": "sqlite", "operation": "write"}
    assert counted(metrics, "database_operations_total", status="success", **write) == 1
    assert counted(metrics, "database_operation_duration_seconds_count", **write) == 1
    assert counted(metrics, "database_operations_total", database="sqlite", operation="rows", status="success") == 2
    operations = {dict(labels)["operation"] for name, labels in metrics.totals().counters if name.endswith("_total")}
    assert operations == {"write", "rows"}


def test_what_fails_counts_as_that_and_raises_what_the_store_raised() -> None:
    metrics, clock = Metrics(), SystemClock()
    catalog = SqlCatalog(NOWHERE, clock=clock, rng=random.Random(1), timeout_s=0.1)
    with closing(measured(catalog, MYSQL, metrics, clock)) as store:
        for work in (lambda: store.save_datasets([]), lambda: store.save_audit_logs([]), store.check):
            with pytest.raises(StoreUnavailable):
                work()
    assert counted(metrics, "database_operations_total", database="mysql", operation="check", status="error") == 1
    failed = {"database": "mysql", "reason": "StoreUnavailable"}
    assert counted(metrics, "mysql_write_failures_total", collection="datasets", **failed) == 1
    assert counted(metrics, "mysql_write_failures_total", collection="audit_logs", **failed) == 1
    assert sum(name.endswith("failures_total") for name, _ in metrics.totals().counters) == 2


def test_threads_lose_no_call(tmp_path: Path) -> None:
    metrics = Metrics()
    with closing(market(tmp_path, metrics)) as store:
        threads = [threading.Thread(target=lambda: [store.data_bytes() for _ in range(300)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    asked = {"database": "sqlite", "operation": "data_bytes"}
    assert counted(metrics, "database_operations_total", status="success", **asked) == 1200
    assert counted(metrics, "database_operation_duration_seconds_count", **asked) == 1200
