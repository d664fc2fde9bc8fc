"""Stores with something of everything in them, for tests that ask the whole API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_manager.http.backfill import JobPath
from data_manager.http.catalog import DatasetPath
from data_manager.http.gaps import GapPath
from data_manager.http.params import Params
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.cataloged import ListedSymbol
from data_manager.storage.computed import METRICS
from data_manager.storage.inventory import dataset_of
from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.protocols import (
    AuditLog,
    Conflict,
    Event,
    Gap,
    GapStatus,
    Incident,
    Job,
    JobStatus,
    Lineage,
    Write,
)
from data_manager.storage.records import Analytics, series_of
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.frames import position
from data_manager.system.messages import Detected, Found, IncidentNews
from tests.http.computed import document, store_documents
from tests.http.serving import BTC, MINUTE, NOW_MS, StillClock, actor, book, candle, funding, health, trade, tree
from tests.http.test_stored_types import book_ticker, liquidation, mark_price, mini_ticker, ticker
from tests.servers.api import ServedApi, served_api
from tests.servers.nats import NatsServer
from tests.storage.examples import quarantined

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOUR, SECOND = 60 * MINUTE, 1000


def documented(model: type[Params], name: str) -> str:
    """The id that the API's description gives as an example: it is there."""
    (example,) = model.model_fields[name].examples or ()
    return str(example)


GAP_ID, JOB_ID = documented(GapPath, "gap_id"), documented(JobPath, "job_id")
DATASET_ID = documented(DatasetPath, "dataset_id")

DETECTED = Detected(
    "1",
    (
        Found(NOW_MS - HOUR, "zscore", "high", "4.2 deviations from the mean", 4.2, 3.0, 42000.5),
        Found(NOW_MS - HOUR, "ecod", "medium", "rare", 0.9, 0.8, 42000.5, 1.5, {"return": 0.1, "volume": None}),
    ),
)
TREE = tree(
    *(actor(name) for name in ("http", "auditor", "analytics", "backfill", "ingest/BTCUSDT")),
    actor("router", detail="delivery=jetstream"),
    incidents=(IncidentNews("i2", "symbol_quiet", "ETHUSDT", "nothing came for 60 s", NOW_MS - MINUTE),),
)


@contextmanager
def stocked_api(folder: Path) -> Iterator[ServedApi]:
    """The API on such stores, with TOKEN, a broker, all actors at work, and two anomalies for whoever detects."""
    stock(folder)
    with (
        NatsServer(folder / "nats", jetstream=False) as broker,
        served_api(folder, token=TOKEN, nats_url=broker.url, delivery="core") as api,
    ):
        api.system.latest, api.system.detected = TREE, DETECTED
        yield api


def stock(folder: Path) -> None:
    """Fill both stores under `folder` with rows of the last hours before NOW_MS, all of BTCUSDT."""
    (folder / "market").mkdir(exist_ok=True)
    stock_market(folder)
    store_documents(folder, *map(computed, METRICS))
    stock_catalog(folder)


def computed(category: str) -> Analytics:
    """A document with all its fields."""
    by_both = {"BTCUSDT": {"ETHUSDT": 0.5}, "ETHUSDT": {"BTCUSDT": None}}
    return document(category, fields={"spearman": by_both} if category == "correlation_matrix" else {})


def stock_market(folder: Path) -> None:
    """Rows of every type, a book, quarantine and ledger."""
    rows = [
        *(candle(NOW_MS - number * MINUTE) for number in range(5, 0, -1)),
        *(candle(NOW_MS - number * HOUR, "1h") for number in range(3, 0, -1)),
        *(trade(number, NOW_MS - number * SECOND) for number in range(5, 0, -1)),
        funding(NOW_MS - 8 * HOUR, settled=True),
        ticker(NOW_MS - 2 * SECOND),
        mini_ticker(NOW_MS - SECOND),
        mark_price(NOW_MS - SECOND),
        book_ticker(NOW_MS - SECOND),
        liquidation(NOW_MS - SECOND),
        quarantined(40, received_ms=NOW_MS - 5, stored_ms=NOW_MS),
    ]
    store = SqliteMarketStore(folder / "market", clock=StillClock())
    store.write(BTC, Write(events=[Event(type(row).dataset, row) for row in rows], book=book(7)))
    batch = BatchEntry(7, NOW_MS * 1_000_000, 12, (position(9), position(10, 3)))
    counts = {"trade": Counts(received=9, stored=5, duplicate=4, redelivered=2)}
    store.write(BTC, Write(counts=counts, batches=[batch]))
    store.close()


def stock_catalog(folder: Path) -> None:
    """A row or two in every table."""
    job = Job(
        JOB_ID, "BTCUSDT", "candles", "1m", NOW_MS - HOUR, NOW_MS, JobStatus.RUNNING.value, NOW_MS - HOUR, 3, 40.0
    )
    gap = Gap(
        GAP_ID,
        "candles_BTCUSDT_1m",
        "BTCUSDT",
        "candles",
        "1m",
        NOW_MS - HOUR,
        NOW_MS - HOUR + 5 * MINUTE,
        GapStatus.BACKFILLING.value,
        "feed_down",
        "nothing came from any symbol",
        NOW_MS - HOUR,
        NOW_MS - MINUTE,
        JOB_ID,
    )
    text = "Anomaly detected at 2025-10-20T11:00:00+00:00: price=42000.10, method=zscore"
    catalog = SqlCatalog(f"sqlite:///{folder}/catalog.sqlite3", clock=StillClock())
    catalog.save_datasets([dataset_of(each, "sqlite", created_ms=0, updated_ms=NOW_MS) for each in series_of(BTC)])
    catalog.save_lineage([Lineage("l1", DATASET_ID, "candles_BTCUSDT_15m", "rollup", 4, 1, NOW_MS)])
    catalog.save_job(job)
    catalog.save_gaps([gap])
    catalog.save_health([health()])
    catalog.save_audit_logs([AuditLog("a1", DATASET_ID, "BTCUSDT", "anomaly", "high", text, NOW_MS)])
    catalog.save_conflicts(
        [Conflict("c1", DATASET_ID, "BTCUSDT", "1h 0", '{"close":"1"}', '{"close":"2"}', "rest", NOW_MS)]
    )
    catalog.save_incident(Incident("i1", "actor_down", "ingest/BTCUSDT", "signal 9", NOW_MS - HOUR, NOW_MS))
    catalog.save_symbols([ListedSymbol(symbol, "active", NOW_MS - HOUR) for symbol in ("BTCUSDT", "XRPUSDT")])
    catalog.close()
