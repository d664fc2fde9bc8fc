"""F18 and F20: a database goes, or is not there yet; nothing is acknowledged meanwhile, and nothing is lost."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.test_one_symbol import SYMBOLS, assert_nothing_lost_or_doubled, newest_trade
from tests.servers.databases import MariaDbServer, MongoServer
from tests.servers.load import Load, publish, trade
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

PAIRS = ",".join(SYMBOLS)
RATE = 150  # what the test's MongoDB stand-in takes in without a backlog
PATIENT = {"ack_wait_s": "5", "store_timeout_s": "2", "heartbeat_miss_s": "6"}


def test_mongodb_is_killed_mid_batch_and_started_again(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        MongoServer(tmp_path / "mongo") as mongo,
        RunningService(tmp_path, nats.url, PAIRS, mongodb_url=mongo.uri("market"), **PATIENT) as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 20)
            mongo.kill()
            service.wait(lambda: service.actor("ingest/BTCUSDT")["detail"] == "market_store")
            assert_away(service, "market_store", "mongodb")
            lines = ingests_away(service)
            sent = load.sent
            service.wait(lambda: load.sent > sent + 2 * RATE)
            assert ingests_away(service) == lines  # told once, not at every attempt
            mongo.start()
            service.wait(lambda: newest_trade(service) > sent, 30)
        assert_nothing_lost_or_doubled(service, load.sent)
        service.wait(lambda: service.get("/health/readiness")[0] == 200)
        assert {view["restarts"] for view in service.actors().values()} == {0}


@pytest.mark.parametrize("catalog_too", [False, True])
def test_a_service_started_before_its_databases_is_alive_and_takes_up_work_when_they_come(
    tmp_path: Path, catalog_too: bool
) -> None:
    mongo, mysql = MongoServer(tmp_path / "mongo"), MariaDbServer(tmp_path / "mariadb").start()
    uri = mysql.make_database("catalog")
    if catalog_too:
        mysql.stop()
    events = [trade(symbol, 1) for symbol in SYMBOLS]
    with NatsServer(tmp_path / "nats") as nats:
        service = RunningService(tmp_path, nats.url, PAIRS, mongodb_url=mongo.uri("market"), mysql_uri=uri, **PATIENT)
        try:
            service.start(ready=False)
            service.wait(lambda: service.get("/health/liveness")[0] == 200)
            if catalog_too:  # on shared stores nothing that is leased runs before the catalog has told who runs it
                service.wait(lambda: service.actors().get("fleet", {}).get("detail") == "leases")
                assert service.actor("ingest/BTCUSDT")["state"] == "elsewhere"
                assert_away(service, "market_store", "mongodb", "catalog", "mysql")
            else:
                service.wait(lambda: service.actors().get("ingest/BTCUSDT", {}).get("detail") == "market_store", 30)
                assert_away(service, "market_store", "mongodb")
                publish(nats.url, *events)
            mongo.start()
            if catalog_too:
                mysql.start()
            service.wait(lambda: service.get("/health/readiness")[0] == 200, 60)
            if catalog_too:
                publish(nats.url, *events)
            assert_nothing_lost_or_doubled(service, 1)
            assert {view["restarts"] for view in service.actors().values()} == {0}
            assert service.stop() == 0
        finally:
            service.__exit__(None, None, None)
            mongo.stop()
            mysql.stop()


def test_without_its_catalog_the_service_goes_on_and_tells_it_later_what_happened(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        MariaDbServer(tmp_path / "mariadb") as mysql,
        RunningService(tmp_path, nats.url, PAIRS, mysql_uri=mysql.make_database("catalog")) as service,
    ):
        service.wait(lambda: ids_of_incidents(mysql) is not None)  # the tables are there
        mysql.kill()
        service.wait(lambda: service.get("/health/readiness")[1]["components"]["mysql"] == "unhealthy")
        assert service.get("/health/readiness")[0] == 200  # history is still served
        killed = service.actor("ingest/BTCUSDT")["pid"]
        service.command("ingest/BTCUSDT", "restart")
        service.wait_restarted("ingest/BTCUSDT", killed)
        publish(nats.url, *(trade(symbol, 1) for symbol in SYMBOLS))
        assert_nothing_lost_or_doubled(service, 1)
        mysql.start()
        service.wait(lambda: service.get("/health/readiness")[1]["components"]["mysql"] == "healthy", 30)
        service.wait(lambda: service.get("/catalog/datasets")[1]["total_count"] > 0, 90)  # a look may be 60 s away
        assert {view["restarts"] for name, view in service.actors().items() if name != "ingest/BTCUSDT"} == {0}


def ingests_away(service: RunningService) -> int:
    """How often the ingest actors told that their store is away."""
    return len(re.findall('"event":"store_away","actor":"ingest/', service.log.read_text()))


def ids_of_incidents(mysql: MariaDbServer) -> list[str] | None:
    """Of the catalog; None before the service has made its tables."""
    with closing(mysql.connect("catalog")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES LIKE 'data_manager_incidents'")
        if not cursor.fetchall():
            return None
        cursor.execute("SELECT incident_id FROM data_manager_incidents")
        return [row[0] for row in cursor.fetchall()]


def test_a_sqlite_file_that_somebody_else_holds_stops_its_symbol_alone_until_it_is_free(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        with Load(nats.url, SYMBOLS, 600) as load:
            service.wait(lambda: newest_trade(service) > 50)
            with closing(sqlite3.connect(service.data_dir / "market" / "BTCUSDT.sqlite3", timeout=10)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                service.wait(lambda: service.actor("ingest/BTCUSDT")["detail"] == "market_store")
                held_at, sent = newest_trade(service), load.sent
                told = service.log.read_text().count('"store_away"')
                service.wait(lambda: load.sent > sent + 200)
                assert service.actor("ingest/ETHUSDT")["state"] == "running"
                assert newest_trade(service) == held_at
                assert service.log.read_text().count('"store_away"') == told  # once, not at every attempt
                holder.rollback()
            service.wait(lambda: newest_trade(service) > held_at)
        assert_nothing_lost_or_doubled(service, load.sent)
        assert {view["restarts"] for view in service.actors().values()} == {0}


def assert_away(service: RunningService, *parts: str) -> None:
    """Readiness is 503 and names exactly these stores; the process is alive."""

    def told() -> bool:
        status, body = service.get("/health/readiness")
        stores = ("market_store", "mongodb", "catalog", "mysql")
        return status == 503 and {part for part in stores if body["components"][part] == "unhealthy"} == set(parts)

    service.wait(told)
    assert service.get("/health/liveness")[0] == 200
