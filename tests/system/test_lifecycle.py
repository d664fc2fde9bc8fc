"""The main process's tools: who is below it, asking the tree, and what it leaves behind."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.symbols import add, retire
from data_manager.system.clock import SystemClock
from data_manager.system.lifecycle import (
    SystemDied,
    descendants_of,
    free_port,
    logging_at_least,
    symbols_at_start,
)
from data_manager.system.messages import TreeQuery
from data_manager.system.settings import Settings
from tests.eventually import eventually_sync
from tests.log_capture import logs_to
from tests.servers.service import alive, monotonic
from tests.servers.tree import dummy, running_tree

A = "ingest/A"
FAMILY = """
    import subprocess, sys
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).wait()"
    for _ in range(2):
        subprocess.Popen([sys.executable, "-c", child])
"""


def python(script: str) -> subprocess.Popen[str]:
    """A Python of its own that runs the script with its standard output piped."""
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)


# -- processes ----------------------------------------------------------------------------------------------


def test_descendants_are_all_below_a_process_and_nearest_first() -> None:
    with python(FAMILY + "    import time; time.sleep(60)\n") as family:
        try:
            eventually_sync(lambda: len(descendants_of(family.pid)) == 4)
            found = descendants_of(family.pid)
            parents = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in found]
            assert parents == [family.pid, family.pid, *sorted(found[:2])]
            assert set(found) <= set(descendants_of(os.getpid()))
            assert descendants_of(found[-1]) == []
        finally:
            for pid in descendants_of(family.pid):
                os.kill(pid, signal.SIGKILL)
            family.kill()


def test_kill_descendants_ends_and_reaps_all_of_them_and_returns_when_they_are_gone() -> None:
    script = FAMILY + (
        "    import os, time\n"
        "    from data_manager.system import hardening, lifecycle\n"
        "    hardening.become_subreaper()\n"
        "    while len(below := lifecycle.descendants_of(os.getpid())) < 4: time.sleep(0.02)\n"
        "    lifecycle.kill_descendants()\n"
        "    print(lifecycle.descendants_of(os.getpid()), [pid for pid in below if os.path.exists(f'/proc/{pid}')])\n"
        "    lifecycle.kill_descendants()\n"
    )
    with python(script) as family:
        assert family.communicate(timeout=20)[0] == "[] []\n"
        assert family.returncode == 0


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()


def test_logging_is_quieter_for_a_while_and_never_louder() -> None:
    root = logging.getLogger()
    before, seen = root.level, []
    try:
        for level in (logging.DEBUG, logging.ERROR):
            root.setLevel(level)
            with contextlib.suppress(KeyError), logging_at_least(logging.WARNING):
                seen.append(root.level)
                raise KeyError
            assert root.level == level
        assert seen == [logging.WARNING, logging.ERROR]
    finally:
        root.setLevel(before)


# -- the tree from outside ----------------------------------------------------------------------------------


def test_every_question_gets_its_own_answer_whatever_else_is_in_the_mail(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as running:
        running.until_state(A, "running")
        tree = running.tree
        for number in range(20):  # answers that nobody waits for any more
            tree._system.tell(tree._supervisor, TreeQuery(f"stray {number}"))
        assert tree.command(A, "resume") == f"{A} is running; resume does not apply"
        assert tree.command("ingest/B", "pause") == "there is no actor named 'ingest/B'"
        assert tree.command(A, "dance") == f"{A} is running; dance does not apply"
        assert [view.name for view in tree.tree().actors] == [A]


def test_a_supervisor_that_dies_while_stopping_is_not_waited_for(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as running:
        os.kill(running.tree.supervisor_pid, signal.SIGKILL)
        began = monotonic()
        with pytest.raises(SystemDied) as death:
            running.tree.stop(30)
        assert monotonic() - began < 5
        assert death.value.exit_code == 71


def test_an_escalation_while_stopping_does_not_break_the_stop(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A), dummy("router"), restart_intensity=0) as running:
        pid = running.until_state("router", "running").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually_sync(lambda: not alive(pid))
        assert running.tree.stop(3).killed == ()


def test_two_systems_on_one_machine_do_not_join(tmp_path: Path) -> None:
    with running_tree(tmp_path / "one", dummy(A)) as one, running_tree(tmp_path / "two", dummy(A)) as two:
        assert one.tree.admin_pid != two.tree.admin_pid
        assert one.tree.command(A, "pause") == ""
        one.until_state(A, "paused")
        assert two.until_state(A, "running").restarts == 0


# -- symbols ------------------------------------------------------------------------------------------------


def test_the_symbols_at_the_start_are_those_of_the_settings_until_the_catalog_knows_better(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, supported_pairs="BTCUSDT,ETHUSDT")  # type: ignore[arg-type]
    assert symbols_at_start(settings) == ("BTCUSDT", "ETHUSDT")
    with contextlib.closing(SqlCatalog(f"sqlite:///{settings.catalog_file}", clock=SystemClock())) as catalog:
        add(catalog, "XRPUSDT", settings.supported_pairs, 1)
        retire(catalog, "BTCUSDT", settings.supported_pairs, 2)
        with logs_to(lines := io.StringIO()):
            assert symbols_at_start(settings) == ("ETHUSDT", "XRPUSDT")  # also while another has it open
    (line,) = lines.getvalue().splitlines()
    assert '"symbols_stay_retired"' in line
    assert '"BTCUSDT"' in line


def test_a_catalog_that_cannot_be_read_leaves_it_to_the_settings_and_is_told(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, supported_pairs="BTCUSDT")  # type: ignore[arg-type]
    settings.catalog_file.write_bytes(b"this is no database" * 1000)
    with logs_to(lines := io.StringIO()):
        assert symbols_at_start(settings) == ("BTCUSDT",)
    assert '"symbols_unknown"' in lines.getvalue()


def test_main_asks_no_server_for_the_list(tmp_path: Path) -> None:
    uri = f"mysql://nobody@127.0.0.1:{free_port()}/nowhere"
    assert symbols_at_start(Settings(data_dir=tmp_path, supported_pairs="BTCUSDT", mysql_uri=uri)) == ("BTCUSDT",)  # type: ignore[arg-type]
