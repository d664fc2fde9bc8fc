"""Supervision on real processes: every way to die, and what the siblings notice of it (nothing)."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
from pathlib import Path

import pytest

from data_manager.system.lifecycle import SystemDied, descendants_of
from tests.eventually import eventually_sync
from tests.listening import addresses, listening
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
