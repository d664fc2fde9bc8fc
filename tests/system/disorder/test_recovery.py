"""When a fault counts as got over: who must be back, and who must have stored something since."""

from __future__ import annotations

import pytest

from data_manager.system.commands.disorder.recovery import Course, Seen
from data_manager.system.commands.disorder.schedule import BROKER, FEED_SUBJECT, Event, Fault
from data_manager.system.commands.service_answers import (
    Actor,
    EventType,
    Incident,
    Ledger,
    Outcomes,
    SymbolLedger,
    Tree,
)

BTC, ETH = "ingest/BTCUSDT", "ingest/ETHUSDT"
PIDS = {"http": 1, BTC: 2, ETH: 3, "router": 4, "auditor": 5, "exchange": 6}
NOTHING = dict.fromkeys(("received", "stored", "replaced", "duplicate", "skipped", "quarantined", "redelivered"), 0)


def actor(name: str, pid: int | None, state: str = "running") -> Actor:
    return Actor(name, state, "", pid, restarts=0, last_cause=None, uptime_s=1.0, lag=0)


def seen(events: int, quarantined: int = 0, without: str = "", **pids: int) -> Seen:
    """Everybody at work, but for one; so many events of each symbol."""
    names = {name: pids.get(name.replace("/", "_"), pid) for name, pid in PIDS.items()}
    actors = [actor(name, pid, "backoff" if name == without else "running") for name, pid in names.items()]
    counts = EventType(**{**NOTHING, "received": events + 5, "redelivered": 5}, event_type="trade", balanced=True)
    ledger = Ledger(
        [SymbolLedger("BTCUSDT", [counts]), SymbolLedger("ETHUSDT", [counts]), SymbolLedger(None, [])],
        Outcomes(**{**NOTHING, "quarantined": quarantined}),
        balanced=True,
    )
    return Seen.of(Tree(False, actors, [Incident("actor_down", "", "")]), ledger)


def course(fault: Fault, target: str, seconds: float = 0.0, quarantined: int = 0) -> Course:
    return Course(Event(10.0, fault, target, seconds), 10.0, seen(100), quarantined)


def test_what_is_seen_counts_every_event_once_and_adds_symbols_up() -> None:
    now = seen(7, quarantined=3)
    assert (now.events("BTCUSDT"), now.events(None), now.events("NEWUSDT"), now.quarantined) == (7, 14, 0, 3)
    assert now.runs(BTC)
    assert not now.runs("ingest/NEWUSDT")
    assert not seen(1, without=BTC).runs(BTC)


@pytest.mark.parametrize("fault", [Fault.KILL, Fault.HANG, Fault.STOP])
def test_a_symbol_is_back_when_another_process_of_it_has_stored_something(fault: Fault) -> None:
    step = course(fault, BTC)
    assert step.seen(seen(200), 11) == step  # still the same process: it was not noticed yet
    assert step.seen(seen(200, ingest_BTCUSDT=9, without=BTC), 11) == step
    back = step.seen(seen(200, ingest_BTCUSDT=9), 12)
    assert back.recovered_s is None
    assert back.seen(seen(200, ingest_BTCUSDT=9), 13) == back  # nothing new
    assert back.seen(seen(201, ingest_BTCUSDT=9), 14).recovered_s == 4


def test_who_stores_nothing_is_back_as_soon_as_another_process_runs() -> None:
    assert course(Fault.KILL, "auditor").seen(seen(100, auditor=9), 12).recovered_s == 2
    assert course(Fault.KILL, "auditor").seen(seen(100), 12).recovered_s is None


def test_the_router_is_back_when_events_come_through() -> None:
    back = course(Fault.KILL, "router").seen(seen(100, router=9), 12)
    assert back.recovered_s is None
    assert back.seen(seen(101, router=9), 13).recovered_s == 3


@pytest.mark.parametrize("without", [BTC, ETH, "router", "exchange"])
def test_after_a_broken_broker_everybody_who_uses_it_must_work_again(without: str) -> None:
    step = course(Fault.BROKER_KILL, BROKER)
    assert step.seen(seen(200, without=without), 11) == step
    assert step.seen(seen(200, without="auditor"), 11).seen(seen(201), 12).recovered_s == 2


@pytest.mark.parametrize("fault", [Fault.STORE_HELD, Fault.WRITES_REFUSED])
def test_what_lasts_cannot_be_over_before_its_end(fault: Fault) -> None:
    step = course(fault, BTC, seconds=5.0)
    assert step.seen(seen(200), 14.9) == step
    assert step.seen(seen(200), 15.1).seen(seen(201), 15.5).recovered_s == 5.5
    replaced = step.seen(seen(200, ingest_BTCUSDT=9), 15.1)  # whoever does the work
    assert replaced.seen(seen(201, ingest_BTCUSDT=9), 15.5).recovered_s == 5.5


def test_garbage_is_over_when_all_of_it_is_in_quarantine() -> None:
    step = course(Fault.GARBAGE, FEED_SUBJECT, quarantined=30)
    assert step.seen(seen(200, quarantined=29), 11) == step
    assert step.seen(seen(200, quarantined=30), 12).recovered_s == 2


def test_what_is_over_stays_so() -> None:
    over = course(Fault.KILL, "auditor").seen(seen(100, auditor=9), 12)
    assert over.seen(seen(100, without="auditor"), 20) == over
