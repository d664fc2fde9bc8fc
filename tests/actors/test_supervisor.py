"""Supervision on real processes: every way to die, and what the siblings notice of it (nothing)."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from data_manager.actors.supervisor import RETIRED_SHOWN_S, is_shown
from data_manager.system.lifecycle import SystemDied, descendants_of
from data_manager.system.messages import Tree
from data_manager.system.strategy import Child, State
from tests.eventually import eventually_sync
from tests.listening import addresses, listening
from tests.servers.service import alive
from tests.servers.tree import RunningTree, dummy, running_tree

A, B = "ingest/A", "ingest/B"


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        ("segfault", "signal 11"),
        ("exit", "exit 3"),
        ("raise", "RuntimeError: told to"),
        ("spin", "unresponsive"),
        ("hold", "unresponsive"),
    ],
)
def test_a_dying_actor_is_restarted_with_its_cause_while_its_sibling_keeps_its_pid(
    tmp_path: Path, order: str, cause: str
) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B)) as tree:
        first, sibling = tree.until_state(A, "running"), tree.until_state(B, "running")
        tree.order(A, order)
        again = tree.until_state(A, "running", restarts=1)
        assert again.pid != first.pid
        assert (again.last_cause or "").startswith(cause)
        assert tree.view(B).pid == sibling.pid
        assert tree.view(B).restarts == 0


def test_kill_9_is_noticed_at_once(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        pid = tree.until_state(A, "running").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert tree.until_state(A, "running", restarts=1, timeout=2).last_cause == "signal 9"


def test_a_stopped_process_is_killed_and_sigcont_finds_nobody(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        pid = tree.until_state(A, "running").pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert tree.until_state(A, "running", restarts=1).pid != pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_an_actor_that_hangs_with_all_that_is_sent_to_it_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    patience = {"heartbeat_s": 0.1, "heartbeat_miss_s": 10}
    with running_tree(tmp_path, dummy("http"), dummy(A), dummy(B), **patience) as tree:
        hung, sibling = tree.until_state("http", "running"), tree.until_state(A, "running")
        assert hung.pid is not None
        os.kill(hung.pid, signal.SIGSTOP)
        began = time.monotonic()
        while time.monotonic() - began < 6:  # several times as many messages as Thespian sends at a time by itself
            asked = time.monotonic()
            assert tree.view(A).pid == sibling.pid
            assert time.monotonic() - asked < 3
        assert tree.view("http").pid == hung.pid  # it has not been given up yet
        tree.order(B, "exit")
        tree.until_state(B, "running", restarts=1)
        os.kill(hung.pid, signal.SIGCONT)
        tree.until(lambda seen: all(view.state == "running" for view in seen.actors))


def data_mib() -> int:
    """What RLIMIT_DATA counts of this process, and so of the actors that are forked from it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) >> 10


def test_memory_beyond_the_hard_limit_ends_that_process_alone(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A, memory_hard_mb=data_mib() + 200), dummy(B)) as tree:
        sibling = tree.until_state(B, "running").pid
        tree.until_state(A, "running")
        tree.order(A, "memory")
        assert "MemoryError" in (tree.until_state(A, "running", restarts=1).last_cause or "")
        assert tree.view(B).pid == sibling


def kill_until_parked(tree: RunningTree, name: str) -> None:
    while (view := tree.view(name)).state != "parked":
        if view.pid is not None and view.state == "running":
            os.kill(view.pid, signal.SIGKILL)
            tree.until(lambda t: next(v for v in t.actors if v.name == name).pid != view.pid)


def test_a_symbol_that_keeps_dying_is_parked_and_resumes_on_command(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B), restart_intensity=3) as tree:
        sibling = tree.until_state(B, "running").pid
        kill_until_parked(tree, A)
        parked = tree.view(A)
        assert parked.restarts == 3
        assert "signal 9" in parked.detail
        assert tree.tree.command(A, "resume") == ""
        tree.until_state(A, "running", restarts=4)
        assert tree.view(B).pid == sibling


def test_a_parked_symbol_is_probed_by_itself(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), restart_intensity=0, park_probe_s=0.5) as tree:
        kill_until_parked(tree, A)
        tree.until_state(A, "running", restarts=1)


def test_an_essential_actor_that_keeps_dying_ends_the_system_with_its_own_exit_code(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy("router"), restart_intensity=0) as tree:
        tree.until_state("router", "running")
        tree.order("router", "exit")
        with pytest.raises(SystemDied, match="router cannot be kept running: exit 3") as death:
            tree.watch_for_ever()
        assert death.value.exit_code == 75


def test_a_dead_supervisor_ends_the_system_and_takes_every_actor_along(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B)) as tree:
        tree.until_state(A, "running")
        os.kill(tree.tree.supervisor_pid, signal.SIGKILL)
        with pytest.raises(SystemDied) as death:
            tree.watch_for_ever()
        assert death.value.exit_code == 71


def test_a_dead_admin_ends_the_system(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        tree.until_state(A, "running")
        os.kill(tree.tree.admin_pid, signal.SIGKILL)
        with pytest.raises(SystemDied) as death:
            tree.watch_for_ever()
        assert death.value.exit_code == 70


def test_pause_keeps_an_actor_down_until_resume(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        tree.until_state(A, "running")
        assert tree.tree.command(A, "pause") == ""
        assert tree.until_state(A, "paused").pid is None
        assert tree.tree.command(A, "resume") == ""
        tree.until_state(A, "running", restarts=1)
        assert "no actor named" in tree.tree.command("ingest/X", "pause")


def test_counters_never_fall_when_an_actor_is_replaced(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        tree.until_state(A, "running")

        def turns() -> float:
            return sum(
                value for (name, _), value in tree.look().counters.items() if name == "data_manager_published_total"
            )

        tree.until(lambda _: turns() > 10)
        seen = turns()
        for generation in range(1, 4):
            tree.order(A, "exit")
            tree.until_state(A, "running", restarts=generation)
            assert turns() >= seen
            seen = turns()


def states(tree: RunningTree) -> dict[str, str]:
    return {view.name: view.state for view in tree.look().actors}


def test_a_symbol_that_is_added_has_an_actor_and_everybody_hears_of_it(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy("router")) as tree:
        before = tree.until_state(A, "running").pid, tree.until_state("router", "running").pid
        assert tree.told("router") == "1 A"
        tree.tree.assign(("A", "B"))
        tree.until(lambda _: states(tree).get(B) == "running")
        assert (tree.view(A).pid, tree.view("router").pid) == before
        eventually_sync(lambda: {tree.told(name) for name in (A, B, "router")} == {"1 A B"})
        tree.order("router", "exit")
        tree.until_state("router", "running", restarts=1)
        assert tree.told("router") == "2 A B"


def test_a_symbol_that_is_retired_drains_and_leaves_neither_incident_nor_gauges(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B)) as tree:
        sibling = tree.until_state(A, "running").pid
        pid = tree.until_state(B, "running").pid
        turned = tree.until(lambda seen: total(seen, "data_manager_published_total") > 20)
        tree.tree.assign(("A",))
        gone = tree.until_state(B, "retired")
        assert (gone.pid, gone.restarts, gone.last_cause) == (None, 0, "stopped")
        eventually_sync(lambda: not alive(pid or 0))
        after = tree.look()
        assert after.incidents == ()
        assert not [name for (name, labels), _ in after.gauges.items() if ("actor", B) in labels]
        assert total(after, "data_manager_published_total") >= total(turned, "data_manager_published_total")
        assert tree.view(A).pid == sibling
        eventually_sync(lambda: tree.told(A) == "1 A")


def total(tree: Tree, counter: str) -> float:
    return sum(value for (name, _), value in tree.counters.items() if name == counter)


def test_what_was_retired_is_shown_for_a_while_and_what_it_counted_stays(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B)) as tree:
        tree.until_state(B, "running")
        tree.order(B, "exit")
        tree.until_state(B, "running", restarts=1)
        tree.tree.assign(("A",))
        tree.until_state(B, "retired")
        assert total(tree.look(), "data_manager_actor_restarts_total") == 1
    child = Child(dummy(B))
    child.state, child.left = State.RETIRED, 1000.0
    assert is_shown(child, 1000.0 + RETIRED_SHOWN_S - 1)
    assert not is_shown(child, 1000.0 + RETIRED_SHOWN_S + 1)
    child.state = State.PENDING
    assert is_shown(child, 1000.0 + RETIRED_SHOWN_S + 1)


def test_a_symbol_that_keeps_dying_retires_with_its_incident_and_comes_back(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B), restart_intensity=0) as tree:
        tree.until_state(A, "running")
        kill_until_parked(tree, B)
        assert [incident.subject for incident in tree.look().incidents] == [B]
        tree.tree.assign(("A",))
        tree.until_state(B, "retired")
        assert tree.look().incidents == ()
        tree.tree.assign(("A", "B"))
        tree.until_state(B, "running", restarts=1)


def test_what_is_leased_runs_where_an_assignment_says_and_anew_with_each_token(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A, leased=True), dummy("router", leased=True), dummy("http")) as tree:
        tree.until_state("http", "running")
        assert states(tree) == {A: "elsewhere", "router": "elsewhere", "http": "running"}
        tree.tree.assign(("A",), {A: 1})
        tree.until_state(A, "running")
        tree.tree.assign(("A",), {A: 2, "router": 1})
        tree.until_state(A, "running", restarts=1)
        tree.until_state("router", "running")
        tree.tree.assign(("A",), {"router": 1})
        tree.until_state(A, "elsewhere")
        assert tree.look().incidents == ()


def test_stop_leaves_the_last_totals_and_kills_only_who_does_not_listen(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy(B), dummy("router"), heartbeat_miss_s=30) as tree:
        for name in (A, B, "router"):
            tree.until_state(name, "running")
        tree.order(B, "spin")
        eventually_sync(lambda: not (tmp_path / "ingest-B.order").exists())
        stopped = tree.tree.stop(2)
        assert set(stopped.killed) == {B}
        states = {view.name: view.state for view in stopped.tree.actors}
        assert states == {A: "stopped", B: "stopped", "router": "stopped"}


def test_nothing_of_the_actor_system_listens_beyond_loopback(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        tree.until_state(A, "running")
        loopback = f"{struct.unpack('=I', socket.inet_aton('127.0.0.1'))[0]:08X}"
        assert addresses(descendants_of(os.getpid())) == {loopback}


class Touch:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.touch, (self.path,))


def test_a_forged_pickle_is_refused_and_the_actor_keeps_answering(tmp_path: Path) -> None:
    from thespian.system.transport.streamBuffer import toSendBuffer

    with running_tree(tmp_path, dummy(A)) as tree:
        pid = tree.until_state(A, "running").pid
        assert pid is not None
        evidence = tmp_path / "the pickle ran"
        for _, port in listening([pid]):
            with socket.create_connection(("127.0.0.1", port), timeout=2) as forger:
                forger.sendall(toSendBuffer((None, Touch(evidence)), pickle.dumps))
        tree.order(A, "exit")  # the same mailbox still turns its heartbeats into a restart
        tree.until_state(A, "running", restarts=1)
        assert not evidence.exists()
