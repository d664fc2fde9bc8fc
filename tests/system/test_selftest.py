"""`data-manager selftest`, against the whole service on a real nats-server, and its parts alone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.actors import routing
from data_manager.storage.ledger import Counts
from data_manager.storage.records import ALL_SYMBOLS, Quarantined
from data_manager.system.commands.selftest import ACCOUNTED, THROUGH, wait
from data_manager.system.errors import ServiceAway
from data_manager.system.selftest import REASON, probe
from data_manager.system.settings import RESERVED_SYMBOL
from tests.http.serving import BTC, working_tree
from tests.http.test_ledger import count
from tests.servers.api import ServedApi, served_api
from tests.servers.databases import free_port
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService
from tests.system.typed import Terminal


class Steps:
    """A clock that moves on by one second each time one waits."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_us(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += 1


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="module")
def service(nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service"), nats.url, "BTCUSDT") as running:
        yield running


def url_of(service: RunningService) -> str:
    """Where its API is."""
    ports = json.loads((service.data_dir / "http.json").read_text())
    return f"http://127.0.0.1:{ports['api_port']}"


# -- the round trip -----------------------------------------------------------------------------------------


def test_an_event_goes_through_the_running_service_into_quarantine_and_nowhere_else(
    service: RunningService, nats: NatsServer, typed: Terminal
) -> None:
    before = service.ledger().total
    done = typed("selftest", "--nats", nats.url, "--url", url_of(service))
    assert (done.code, done.out) == (0, f"{THROUGH}\n"), done.err
    event = service.rows(ALL_SYMBOLS, Quarantined)[-1]
    assert (event.reason, RESERVED_SYMBOL.encode() in event.raw) == (REASON, True)
    after = service.ledger().total
    assert (after.received - before.received, after.quarantined - before.quarantined) == (1, 1)
    assert service.ledger("BTCUSDT").total.received == 0


def test_each_run_looks_for_an_event_of_its_own(service: RunningService, nats: NatsServer, typed: Terminal) -> None:
    before = len(service.rows(ALL_SYMBOLS, Quarantined))
    for _ in range(2):
        assert typed("selftest", "--nats", nats.url, "--url", url_of(service)).code == 0
    raws = [event.raw for event in service.rows(ALL_SYMBOLS, Quarantined)]
    assert len(raws) == len(set(raws)) == before + 2


def test_an_event_that_nobody_takes_ends_with_1_and_says_what_to_look_at(
    service: RunningService, nats: NatsServer, typed: Terminal
) -> None:
    typed.set(NATS_CONSUMER_SUBJECT="another.subject")
    done = typed("selftest", "--within", 1, "--nats", nats.url, "--url", url_of(service))
    assert (done.code, done.out) == (1, "")
    assert "Not within 1 s: event " in done.err
    assert "NATS_CONSUMER_SUBJECT" in done.err


def test_nats_that_is_away_ends_with_3(service: RunningService, typed: Terminal) -> None:
    typed.set(NATS_CONNECT_TIMEOUT="0.3")
    nobody = f"nats://127.0.0.1:{free_port()}"
    done = typed("selftest", "--nats", nobody, "--url", url_of(service))
    assert (done.code, done.out) == (3, "")
    assert f"NATS at {nobody} could not be reached within 0.3 s" in done.err


def test_a_service_that_is_away_ends_with_3_and_nothing_is_published(
    service: RunningService, nats: NatsServer, typed: Terminal
) -> None:
    before = service.ledger().total.received
    done = typed("selftest", "--within", 1, "--nats", nats.url, "--url", f"http://127.0.0.1:{free_port()}")
    assert (done.code, done.out) == (3, "")
    assert "Nothing answers at http://127.0.0.1:" in done.err
    assert typed("selftest", "--nats", nats.url, "--url", url_of(service)).code == 0  # so that all before it has come
    assert service.ledger().total.received == before + 1


def test_where_quarantine_keeps_nothing_it_says_so_at_once(typed: Terminal) -> None:
    done = typed("selftest", "--set", "QUARANTINE_MAX_ROWS=0")
    assert (done.code, done.out) == (2, "")
    assert "QUARANTINE_MAX_ROWS is 0" in done.err


# -- with an embedded broker --------------------------------------------------------------------------------


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


def with_embedded(typed: Terminal, api: ServedApi) -> tuple[int, str, str]:
    done = typed("selftest", "--within", 1, "--nats", "embedded", "--url", api.url)
    return done.code, done.out, done.err


def test_without_a_reachable_broker_a_ledger_without_events_is_a_problem(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    api.system.latest = working_tree()
    code, out, err = with_embedded(typed, api)
    assert (code, out) == (1, "")
    assert "the ledger counts no event" in err
    count(tmp_path, BTC, trade=Counts(received=1, stored=1))
    assert with_embedded(typed, api) == (0, f"{ACCOUNTED}\n", "")
    as_json = typed("selftest", "--json", "--nats", "embedded", "--url", api.url)
    assert json.loads(as_json.out) == {"passed": True, "problem": None, "sent": False}


def test_a_service_that_does_not_become_ready_ends_with_1_and_the_names_of_its_parts(
    api: ServedApi, typed: Terminal
) -> None:
    code, out, err = with_embedded(typed, api)
    assert (code, out) == (1, "")
    assert "the service is not ready: " in err
    assert "router is " in err


# -- its parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [set(), {"BTCUSDT"}], ids=str)
def test_the_router_quarantines_a_probe_whatever_is_configured(known: set[str]) -> None:
    (piece,) = routing.route(probe("1", 1_760_961_600_000), known)
    assert isinstance(piece, routing.Refused)
    assert piece.reason == routing.RESERVED == REASON


def test_a_probe_carries_its_id_within_what_a_list_shows_of_it() -> None:
    probe_id = uuid.UUID(int=7).hex
    assert probe_id.encode() in probe(probe_id, 1_760_961_600_000)[:1024]


def test_waiting_ends_with_the_first_good_answer() -> None:
    clock, answers = Steps(), iter(["not yet", "not yet", None])
    assert wait(lambda: next(answers), clock, clock.seconds + 60, clock.pause) is None
    assert clock.seconds == 102


def test_waiting_ends_at_the_deadline_with_the_last_problem() -> None:
    clock = Steps()
    assert wait(lambda: f"at {clock.seconds:g}", clock, 103, clock.pause) == "at 103"


def test_a_service_that_comes_back_in_time_has_not_been_away() -> None:
    clock = Steps()

    def check() -> str | None:
        if clock.seconds < 102:
            raise ServiceAway("away")
        return None

    assert wait(check, clock, 110, clock.pause) is None
    clock.seconds = 100.0
    with pytest.raises(ServiceAway):
        wait(check, clock, 101, clock.pause)
