"""`data-manager demo`: what it prints is what the ledgers on disk say, however it ends and whatever dies in it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.data_dir import DataDir
from data_manager.system.account import COUNTED, OUTCOMES, Account, read_account
from data_manager.system.demo import reconciles
from data_manager.system.demo_screen import Screen, actor_row, latency, status_line
from data_manager.system.messages import ActorView, Tree
from data_manager.system.metrics import Metrics, series
from data_manager.system.settings import Settings
from tests.servers.command import Command
from tests.servers.service import monotonic

RECONCILED = "The counts reconcile: published = received - redelivered, and each event has one outcome."
ACTORS = ("http", "ingest/BTCUSDT", "ingest/ETHUSDT", "router", "auditor", "exchange")  # Command turns backfill off


def demo(folder: Path, *arguments: str, **changes: str) -> Command:
    """A demo of two symbols, of which nothing is awaited but what the test says."""
    free = ("--api-port", "0", "--metrics-port", "0")
    return Command(folder, "demo", *free, *arguments, exchange_rate="500", **changes)


def ledgers(command: Command) -> Account:
    """What is on disk."""
    return read_account(Settings(data_dir=command.data_dir))


def summary_of(text: str) -> dict[str, dict[str, int]]:
    """The table of the summary: counts by event type (and `total`) and name."""
    rows = re.findall(r"^(\w+) +((?:[\d,]+ +){6}[\d,]+) *$", text, re.MULTILINE)
    return {
        kind: dict(zip(COUNTED, (int(n.replace(",", "")) for n in counts.split()), strict=True))
        for kind, counts in rows
    }


def published_in(text: str) -> tuple[int, int]:
    """Events published, and left by an earlier run, as the summary says."""
    found = re.search(r"^published ([\d,]+)(?: and ([\d,]+) left by an earlier run)?, stored", text, re.MULTILINE)
    assert found is not None, text
    now, carried = (int((number or "0").replace(",", "")) for number in found.groups())
    return now, carried


# -- whole runs ---------------------------------------------------------------------------------------------


def happened(by_type: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """The types of which there was anything: a short run may see none of one that an earlier run saw."""
    return {kind: counts for kind, counts in by_type.items() if any(counts.values())}


def assert_true(summary: str, account: Account) -> None:
    """The summary says what the ledgers do, and that it reconciles."""
    said = summary_of(summary)
    total = said.pop("total")
    assert happened(said) == happened(account.by_type)
    assert total == {name: account.total(name) for name in COUNTED}
    assert published_in(summary) == (account.events, 0)
    assert total["stored"] > 50
    assert summary.endswith(RECONCILED + "\n")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A demo that has ended by itself."""
    run = demo(tmp_path_factory.mktemp("ended"), "--for", "1", enable_api="no")
    assert run.run() == 0, run.stdout + run.stderr
    assert run.stderr == ""
    return run


def run_again(ended: Command, folder: Path) -> Command:
    """A second demo on a copy of its data."""
    again = demo(folder, "--for", "1", enable_api="no")
    shutil.copytree(ended.data_dir, again.data_dir)
    return again


def test_a_demo_ends_by_itself_and_its_summary_is_what_the_ledgers_say(ended: Command) -> None:
    assert_true(ended.stdout, ledgers(ended))


def test_another_demo_on_the_same_folder_counts_what_is_new(ended: Command, tmp_path: Path) -> None:
    again = run_again(ended, tmp_path)
    assert again.run() == 0, again.stdout
    assert_true(again.stdout, ledgers(again).since(ledgers(ended)))


def test_a_demo_that_misses_events_says_how_many_and_ends_with_1(ended: Command, tmp_path: Path) -> None:
    again = run_again(ended, tmp_path)
    shutil.rmtree(again.data_dir / "market")
    assert again.run() == 1
    missing = ledgers(ended).events
    assert f"The counts do not reconcile: +{missing:,} events published but not received." in again.stdout


def test_where_there_is_no_terminal_it_writes_plain_lines_and_the_token_for_this_user_alone(tmp_path: Path) -> None:
    with demo(tmp_path) as run:
        token = run.data_dir / "api-token"
        assert token.stat().st_mode & 0o777 == 0o600
        assert f"  token           {token}\n" in run.stdout
        run.wait(lambda: "  actors          http://127.0.0.1:" in run.stdout)
        assert re.search(r"^  dashboard       http://127\.0\.0\.1:\d+/$", run.stdout, re.MULTILINE)
        pause = "/system/actors/ingest%2FBTCUSDT/pause"
        assert run.request("POST", pause)[0] == 401
        secret = token.read_text().strip()
        assert run.request("POST", pause, secret)[0] == 200
        # what is published to a symbol that stays paused has no outcome at the end
        run.wait(lambda: run.request("POST", pause.replace("pause", "resume"), secret)[0] == 200)
        assert run.end(signal.SIGINT) == 0
        assert RECONCILED in run.stdout
        assert "\x1b" not in run.stdout
        assert re.search(rf"^ +\d+ s  \d/{len(ACTORS)} actors running  published ", run.stdout, re.MULTILINE)


def test_killed_parts_come_back_and_the_counts_still_reconcile(tmp_path: Path) -> None:
    with demo(tmp_path) as run:
        for victim in ("exchange", "ingest/BTCUSDT", "router"):
            run.wait(lambda victim=victim: run.actor(victim)["state"] == "running" and ledgers(run).events > 0)
            pid = run.actor(victim)["pid"]
            os.kill(pid, signal.SIGKILL)
            assert run.wait_restarted(victim, pid)["last_cause"] == "signal 9"
        os.kill(run.actor("ingest/ETHUSDT")["pid"], signal.SIGKILL)  # and one that is down when all ends
        assert run.end(signal.SIGINT) == 0
        assert RECONCILED in run.stdout, run.stdout
        account = ledgers(run)
        assert published_in(run.stdout) == (account.events, 0)


def test_after_the_end_of_everything_the_next_demo_names_and_stores_what_was_left(tmp_path: Path) -> None:
    with demo(tmp_path) as killed:
        killed.wait(lambda: ledgers(killed).events > 200)
        os.kill(killed.actor("ingest/BTCUSDT")["pid"], signal.SIGSTOP)  # so that something is left
        seen = ledgers(killed).events
        killed.wait(lambda: ledgers(killed).events > seen + 100)
        killed.kill_everything()
    again = demo(tmp_path, "--for", "1", enable_api="no")
    left = ledgers(again).events
    assert again.run() == 0, again.stdout
    published, carried = published_in(again.stdout)
    assert carried > 50
    assert published + carried == ledgers(again).events - left
    assert RECONCILED in again.stdout


def test_a_demo_on_a_folder_in_use_is_refused_and_leaves_the_first_ones_token(tmp_path: Path) -> None:
    run = demo(tmp_path, "--for", "1")
    first = DataDir(run.data_dir)
    first.acquire()
    try:
        (run.data_dir / "api-token").write_text("the first one's")
        assert run.run() == 2
        assert f"is in use by process {os.getpid()} " in run.stderr
        assert (run.data_dir / "api-token").read_text() == "the first one's"
    finally:
        first.release()


def test_a_folder_that_cannot_be_made_ends_the_demo_with_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = demo(tmp_path, "--data-dir", str(tmp_path / "file" / "data"))
    assert run.run() == 2
    assert re.fullmatch(
        r"the data folder .*/file/data cannot be written \(.*\): name another with --data-dir\n", run.stderr
    )


def test_a_token_of_the_operators_is_used_and_written_nowhere(tmp_path: Path) -> None:
    run = demo(tmp_path, "--for", "1", "--set", "api_token=mine", enable_api="no")
    run.data_dir.mkdir()
    (run.data_dir / "api-token").write_text("of an earlier run")
    assert run.run() == 0
    assert not (run.data_dir / "api-token").exists()
    assert "  token  " not in run.stdout


# -- on a terminal ------------------------------------------------------------------------------------------


class Terminal:
    """A demo on a terminal of its own, 40 lines of 120 columns."""

    def __init__(self, run: Command) -> None:
        self.seen = ""
        self._keyboard, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            run.program(),
            cwd=run.folder,
            env=run.environment | {"TERM": "xterm"},
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C goes to all that is started here
        )
        os.close(screen)

    def press(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def until(self, text: str, timeout: float = 30) -> None:
        """Read until the text has been shown."""
        give_up = monotonic() + timeout
        while text not in self.seen:
            ready, _, _ = select.select([self._keyboard], [], [], give_up - monotonic())
            assert ready, f"{text!r} is not in {self.seen}"
            self.seen += os.read(self._keyboard, 65536).decode(errors="replace")

    def close(self) -> None:
        os.close(self._keyboard)


def test_on_a_terminal_every_actor_is_shown_live_and_control_c_ends_it_in_order(tmp_path: Path) -> None:
    run = demo(tmp_path)
    terminal = Terminal(run)
    try:
        terminal.until(f"{len(ACTORS)}/{len(ACTORS)} actors running")
        terminal.until("Ctrl-C stops.")
        table = terminal.seen[terminal.seen.rindex("last cause") :]
        assert re.findall(r"^(\S+) +running", table, re.MULTILINE) == list(ACTORS)
        terminal.press(b"\x03")
        terminal.until(RECONCILED)
        assert terminal.process.wait(20) == 0
        assert "Traceback" not in terminal.seen
        assert published_in(terminal.seen.replace("\r", "")) == (ledgers(run).events, 0)
        assert not run.processes()
    finally:
        run._end()
        terminal.process.wait()
        terminal.close()


@pytest.mark.faults
def test_an_outage_of_the_feed_is_found_repaired_and_closed_before_ones_eyes(tmp_path: Path) -> None:
    outages = {"exchange_outage_every_s": "12", "exchange_outage_s": "2", "audit_interval": "1"}
    run = demo(tmp_path, "--for", "40", enable_backfiller="true", history_bootstrap="false", **outages)
    assert run.run(120) == 0, run.stdout + run.stderr
    assert re.search(r"^ +trades of .* UTC: repaired from the exchange, audited again and closed$", run.stdout, re.M)
    assert run.stdout.endswith(RECONCILED + "\n")


# -- what it says, apart from any process -------------------------------------------------------------------

counts = st.integers(0, 10_000)
outcomes = st.fixed_dictionaries(dict.fromkeys(OUTCOMES, counts))


def account(by_type: dict[str, dict[str, int]], redelivered: int) -> Account:
    """A balanced account of which some deliveries were repeated ones."""
    return Account(
        {
            kind: {"received": sum(one.values()) + redelivered, **one, "duplicate": one["duplicate"] + redelivered}
            | {"redelivered": redelivered}
            for kind, one in by_type.items()
        }
    )


accounts = st.builds(account, st.dictionaries(st.sampled_from(["trade", "depthUpdate", "unknown"]), outcomes), counts)


def tree(*actors: ActorView, **metrics: float) -> Tree:
    return Tree(0, 0, False, actors, {series(name, {}): value for name, value in metrics.items()})


def said(account: Account, published: int, carried: int) -> str:
    """The summary as printed."""
    paper = io.StringIO()
    Screen(paper, Settings(), None).summary(account, published, carried, tree())
    return paper.getvalue()


@settings(derandomize=True, deadline=None, max_examples=50)
@given(accounts, st.integers(-5, 5), st.integers(0, 5))
def test_the_summary_and_the_exit_code_agree_on_whether_the_counts_reconcile(
    account: Account, missing: int, carried: int
) -> None:
    published = account.events + missing - carried
    text = said(account, published, carried)
    assert reconciles(account, published + carried) == (missing == 0) == (RECONCILED in text)
    assert (f"{missing:+,} events published but not received" in text) == (missing != 0)
    assert summary_of(text)["total"] == {name: account.total(name) for name in COUNTED}


@settings(derandomize=True, deadline=None, max_examples=50)
@given(accounts.filter(lambda account: bool(account.by_type)), st.sampled_from(OUTCOMES), st.sampled_from((1, -1)))
def test_an_event_without_an_outcome_or_with_two_never_reconciles(account: Account, outcome: str, change: int) -> None:
    kind = next(iter(account.by_type))
    account.by_type[kind][outcome] += change
    assert not reconciles(account, account.events)
    assert "some events have no outcome, or more than one" in said(account, account.events, 0)


def test_one_type_that_misses_an_outcome_is_not_made_up_for_by_another_that_has_one_too_many() -> None:
    even = dict.fromkeys(COUNTED, 0)
    uneven = Account({"a": even | {"received": 2, "stored": 1}, "b": even | {"received": 1, "stored": 2}})
    assert uneven.total("received") == uneven.total("stored")
    assert not reconciles(uneven, 3)


BUSY = ActorView(
    name="ingest/BTCUSDT", symbol="BTCUSDT", essential=False, state="waiting", detail="nats", pid=7, generation=3,
    restarts=2, last_cause="signal 9", last_exit_ms=1, started_ms=1, uptime_s=61.4, lag=5, ever_running=True,
)  # fmt: skip


def test_a_row_of_the_live_table_shows_what_is_known_and_a_dash_for_what_is_not() -> None:
    assert actor_row(BUSY) == ("ingest/BTCUSDT", "waiting nats", "7", "61 s", "2", "5", "signal 9")
    unknown = msgspec.structs.replace(
        BUSY, state="parked", detail="", pid=None, uptime_s=0.0, lag=None, last_cause=None
    )
    assert actor_row(unknown) == ("ingest/BTCUSDT", "parked", "-", "0 s", "2", "-", "-")


def test_the_status_line_adds_the_outcomes_up_over_symbols_and_types() -> None:
    metrics = Metrics()
    for symbol, outcome, count in (("A", "stored", 3), ("B", "stored", 4), ("A", "duplicate", 2), ("A", "skipped", 9)):
        metrics.inc("data_manager_events_total", count, symbol=symbol, event_type="trade", outcome=outcome)
    metrics.inc("data_manager_published_total", 18, event_type="trade")
    running = msgspec.structs.replace(BUSY, state="running")
    line = status_line(Tree(0, 0, False, (BUSY, running), metrics.totals().counters), 12.3)
    assert line == (  # the first actor waits
        "   12 s  1/2 actors running  published 18  stored 7  duplicates 2  quarantined 0  "
        "publish to stored p50 - p99 -"
    )


def test_latency_is_given_as_the_upper_bounds_of_its_histograms_buckets() -> None:
    assert latency(tree()) == "p50 - p99 -"
    metrics = Metrics()
    for _ in range(98):
        metrics.observe("data_manager_publish_to_stored_seconds", 0.010)
    for _ in range(2):
        metrics.observe("data_manager_publish_to_stored_seconds", 0.900)
    found = re.fullmatch(r"p50 <= (\d+) ms, p99 <= (\d+) ms", latency(Tree(0, 0, False, (), metrics.totals().counters)))
    assert found is not None
    assert 10 <= int(found[1]) <= 12
    assert 900 <= int(found[2]) <= 1040
