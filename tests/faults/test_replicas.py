"""F28: replicas come, go, are killed and paused under load; each event is stored once, and each part runs once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest

from data_manager.storage.protocols import Query
from data_manager.storage.records import Symbol, Trade
from data_manager.system.lifecycle import descendants_of
from data_manager.system.strategy import ALIVE
from tests.eventually import eventually_sync
from tests.servers.databases import MariaDbServer, MongoServer
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.servers.service import TOKEN, RunningService, monotonic

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
LEASED = {"router", "auditor", *(f"ingest/{symbol}" for symbol in SYMBOLS)}
RATE = 30  # what the test's MongoDB stand-in catches up with after a crash, whatever else this machine does
TAKE_OVER_S = 15  # after a crash, for every lease to have an owner again
PATIENCE_S = 60  # for what takes as long as processes take to start
# as in production where it counts: how long a lease, a redelivery and a stop take
UNHURRIED = {"ack_wait_s": "10", "store_timeout_s": "5", "heartbeat_miss_s": "10", "drain_timeout_s": "12"}


class Replicas:
    """Any number of services on the same broker and stores; `up` are those that run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._numbers = count(1)
        self.up: list[RunningService] = []

    def __enter__(self) -> Replicas:
        self.nats = self._stack.enter_context(NatsServer(self._folder / "nats"))
        self._mongo = self._stack.enter_context(MongoServer(self._folder / "mongo"))
        self.mysql = self._stack.enter_context(MariaDbServer(self._folder / "mariadb"))
        self._uri = self.mysql.make_database("catalog")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def start(self, **settings: object) -> RunningService:
        """One more; returns when it is ready."""
        folder = self._folder / f"replica-{next(self._numbers)}"
        folder.mkdir()
        shared = {"mongodb_url": self._mongo.uri("market"), "mysql_uri": self._uri}
        service = RunningService(folder, self.nats.url, ",".join(SYMBOLS), **{**shared, **UNHURRIED, **settings})  # type: ignore[arg-type]
        self._stack.push(service.__exit__)
        service.start(ready=False)
        service.wait(lambda: service.get("/health/readiness")[0] == 200, PATIENCE_S)  # several share two cores
        self.up.append(service)
        return service

    def end(self, service: RunningService, number: signal.Signals = signal.SIGTERM) -> int:
        """It is no more; its exit code."""
        self.up.remove(service)
        return service.stop(number)

    def runs(self, service: RunningService) -> set[str]:
        """What is leased and alive in it."""
        return {name for name, actor in service.actors().items() if name in LEASED and actor["state"] in ALIVE}

    def each_runs_once(self) -> bool:
        """All that is leased, in one replica each."""
        return Counter(name for service in self.up for name in self.runs(service)) == dict.fromkeys(LEASED, 1)

    def is_fair(self) -> bool:
        """... and as evenly as that goes: in each group nobody has two more than another."""
        running = [self.runs(service) for service in self.up]
        ingest = [sum(name.startswith("ingest/") for name in names) for names in running]
        others = [len(names) - symbols for names, symbols in zip(running, ingest, strict=True)]
        return self.each_runs_once() and all(max(each) - min(each) <= 1 for each in (ingest, others))

    @staticmethod
    def name_of(service: RunningService) -> str:
        """As the rows call it."""
        return str(service.get("/system/tree")[1]["fleet"]["me"])

    def all_are_held_by_others_than(self, gone: str) -> bool:
        """Every lease, in time."""
        holders = self.holders()
        return holders.keys() >= LEASED and gone not in holders.values()

    def holders(self) -> dict[str, str]:
        """Of each lease that has not expired, by the rows themselves."""
        with closing(self.mysql.connect("catalog")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name, owner FROM data_manager_leases WHERE expires_at > UTC_TIMESTAMP(6)")
            return {name: owner for name, owner in cursor.fetchall()}  # noqa: C416  of tuples of any length

    def written_by_the_scribe(self) -> int:
        with closing(self.mysql.connect("catalog")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM data_manager_incidents WHERE kind = 'scribe' AND subject = '1'")
            return int(cursor.fetchall()[0][0])

    def assert_each_event_is_stored_once(self, published: int) -> None:
        """By the rows and by the ledger, in which a repetition is a redelivery and nothing else."""
        service = self.up[0]
        service.wait(lambda: service.events(*SYMBOLS) == published * len(SYMBOLS), PATIENCE_S)
        for symbol in SYMBOLS:
            assert [row.trade_id for row in service.rows(symbol, Trade)] == list(range(1, published + 1)), symbol
            counts = service.ledger(symbol).by_type["trade"]
            assert counts.balanced, symbol
            assert counts.stored == published, symbol

    def redelivered(self) -> int:
        return sum(self.up[0].ledger(symbol).total.redelivered for symbol in SYMBOLS)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with Replicas(tmp_path) as replicas:
        yield replicas


def newest(service: RunningService) -> int:
    """The last trade that is stored of every symbol; one query each, so that looking is no load."""
    last = Query(limit=1, descending=True)
    with service.store() as store:
        found = [store.rows(Symbol(symbol), Trade, last) for symbol in SYMBOLS]
    return min(rows[0].trade_id if rows else 0 for rows in found)


def family(service: RunningService) -> list[int]:
    return [service.pid, *descendants_of(service.pid)]


def test_one_two_four_and_two_replicas_under_load_one_of_them_killed(replicas: Replicas) -> None:
    first = replicas.start()
    with Load(replicas.nats.url, SYMBOLS, RATE) as load:
        first.wait(lambda: newest(first) > 50)
        assert replicas.runs(first) == LEASED
        for _ in range(3):
            replicas.start()
        eventually_sync(replicas.is_fair, PATIENCE_S)

        killed = next(service for service in replicas.up if any("ingest" in name for name in replicas.runs(service)))
        gone = replicas.name_of(killed)
        replicas.end(killed, signal.SIGKILL)
        eventually_sync(lambda: replicas.all_are_held_by_others_than(gone), TAKE_OVER_S)
        eventually_sync(replicas.each_runs_once, PATIENCE_S)

        clean = next(service for service in replicas.up if replicas.runs(service))
        gone = replicas.name_of(clean)
        assert replicas.end(clean) == 0
        eventually_sync(lambda: replicas.all_are_held_by_others_than(gone), 5)  # nothing has to expire
        eventually_sync(replicas.is_fair, PATIENCE_S)
        sent = load.sent
        replicas.up[0].wait(lambda: newest(replicas.up[0]) > sent, PATIENCE_S)
    replicas.assert_each_event_is_stored_once(load.sent)
    assert [replicas.end(service) for service in list(replicas.up[1:])] == [0]


def test_a_rolling_update_loses_nothing_and_repeats_nothing(replicas: Replicas) -> None:
    old = replicas.start()
    with Load(replicas.nats.url, SYMBOLS, RATE) as load:
        old.wait(lambda: newest(old) > 50)
        for _ in range(2):
            new = replicas.start()
            eventually_sync(replicas.is_fair, PATIENCE_S)
            began = monotonic()
            assert replicas.end(old) == 0
            assert monotonic() - began < 15
            eventually_sync(lambda: replicas.runs(new) == LEASED, PATIENCE_S)  # noqa: B023  looked at now
            old = new
        sent = load.sent
        new.wait(lambda: newest(new) > sent, PATIENCE_S)
    replicas.assert_each_event_is_stored_once(load.sent)
    assert replicas.redelivered() == 0


def test_what_a_paused_replica_still_writes_is_refused_or_changes_nothing(replicas: Replicas) -> None:
    # nobody kills what has not answered: it shall go on where it was stopped
    paused = replicas.start(actors={"auditor": "tests.faults.actors.Scribbler"}, heartbeat_miss_s="120")
    refused = paused.data_dir / "refused"
    with Load(replicas.nats.url, SYMBOLS, RATE) as load:
        paused.wait(lambda: newest(paused) > 50 and replicas.written_by_the_scribe() > 0)
        stopped = family(paused)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        replicas.up.remove(paused)
        other = replicas.start()
        eventually_sync(lambda: replicas.runs(other) == LEASED, PATIENCE_S)
        written, sent = replicas.written_by_the_scribe(), load.sent
        other.wait(lambda: newest(other) > sent, PATIENCE_S)
        assert not refused.exists()
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        replicas.up.append(paused)
        eventually_sync(lambda: refused.exists() and refused.read_text(), PATIENCE_S)
        assert "the lease auditor has passed on since it was taken here (token 1)" in refused.read_text()
        eventually_sync(replicas.is_fair, PATIENCE_S)
        assert replicas.written_by_the_scribe() == written
    replicas.assert_each_event_is_stored_once(load.sent)


def test_a_request_reaches_any_replica_and_whoever_holds_the_part_does_it(replicas: Replicas) -> None:
    services = [replicas.start(), replicas.start()]
    eventually_sync(replicas.is_fair, PATIENCE_S)
    for name in sorted(LEASED):
        holder, asked = sorted(services, key=lambda service: name not in replicas.runs(service))
        pid = holder.actor(name)["pid"]
        answer = asked.post(f"/system/actors/{name.replace('/', '%2F')}/restart")
        me = holder.get("/system/tree")[1]["fleet"]["me"]
        assert answer == {"actor": name, "action": "restart", "state": "stopping", "holder": me}
        asked.wait(lambda: asked.actor(name)["holder"] == me)  # noqa: B023  it looks once a second
        holder.wait_restarted(name, pid, PATIENCE_S)
        assert asked.actor(name)["state"] == "elsewhere"
    auditing, asked = sorted(services, key=lambda service: "auditor" not in replicas.runs(service))
    auditing.wait(lambda: metric(auditing, "data_manager_audit_rounds_total") >= 1, PATIENCE_S)
    rounds = metric(auditing, "data_manager_audit_rounds_total")
    assert asked.request("POST", "/audit/run", TOKEN)[0] == 202
    auditing.wait(lambda: metric(auditing, "data_manager_audit_rounds_total") > rounds, PATIENCE_S)
    for service in services:
        status, body = service.get("/health/readiness")
        assert status == 200
        assert "unhealthy" not in body["components"].values()
        assert metric(service, "data_manager_members") == 2


def metric(service: RunningService, name: str) -> float:
    """The sum of its series; 0 while there is none."""
    _, text = service.request("GET", "/metrics", port="metrics_port")
    lines = (line for line in text.decode().splitlines() if line.startswith(name))
    return sum(float(line.rpartition(" ")[2]) for line in lines)
