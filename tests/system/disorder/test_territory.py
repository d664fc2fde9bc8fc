"""Who may be harmed: processes of the one demo, and nobody else, on real processes and real locks."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from data_manager.system.commands.disorder.territory import Demo, owner_of, started_at
from data_manager.system.errors import ConfigError, ServiceAway
from tests.eventually import eventually_sync
from tests.http.serving import working_tree
from tests.servers.api import ServedApi
from tests.servers.service import alive
from tests.system.disorder.trees import named


def test_the_owner_of_a_folder_is_who_holds_its_lock(folder: Path) -> None:
    assert owner_of(folder) == os.getpid()


@pytest.mark.parametrize("left", [None, "123\n", "nonsense"])
def test_a_folder_that_nobody_holds_has_no_owner_whatever_was_left_in_it(tmp_path: Path, left: str | None) -> None:
    if left is not None:
        (tmp_path / "lock").write_text(left)
    with pytest.raises(ServiceAway, match=r"Nothing runs on .*`data-manager demo`"):
        owner_of(tmp_path)


def test_what_has_no_simulated_exchange_is_no_demo(api: ServedApi, folder: Path) -> None:
    api.system.latest = working_tree()
    with pytest.raises(ConfigError, match="chaos is for `data-manager demo` only"):
        Demo(folder, "token")


def test_a_process_that_the_supervisor_names_and_that_is_below_main_gets_the_signal(
    api: ServedApi, folder: Path, child: int
) -> None:
    named(api, ingest_BTCUSDT=child)
    with Demo(folder, "token").actor("ingest/BTCUSDT") as process:
        assert process.pid == child
        process.signal(signal.SIGKILL)
    eventually_sync(lambda: not alive(child))


def test_a_process_that_is_not_below_main_is_left_alone(api: ServedApi, folder: Path) -> None:
    named(api, ingest_BTCUSDT=os.getppid(), router=1)
    demo = Demo(folder, "token")
    for name in ("ingest/BTCUSDT", "router"):
        with pytest.raises(ServiceAway, match="is none of the demo's"), demo.actor(name):
            raise AssertionError("it would have been hit")


def test_main_itself_is_left_alone(api: ServedApi, folder: Path) -> None:
    named(api, router=os.getpid())
    with pytest.raises(ServiceAway, match="none of the demo's"), Demo(folder, "token").actor("router"):
        raise AssertionError("it would have been hit")


@pytest.mark.parametrize("pid", [None, 2**22 + 1])
def test_who_has_no_process_cannot_be_hit(api: ServedApi, folder: Path, pid: int | None) -> None:
    named(api, router=pid)
    with pytest.raises(ServiceAway, match=r"has no process|has ended"), Demo(folder, "token").actor("router"):
        raise AssertionError("somebody would have been hit")


def test_a_demo_that_has_ended_has_no_processes_any_more(api: ServedApi, folder: Path, child: int) -> None:
    named(api, router=child)
    demo = Demo(folder, "token")
    (folder / "lock").write_text("1\n")  # another one owns the folder now
    assert not demo.alive
    with pytest.raises(ServiceAway), demo.actor("router"):
        raise AssertionError("it would have been hit")
    assert alive(child)


def test_a_process_may_write_again_after_the_block(api: ServedApi, folder: Path, child: int) -> None:
    named(api, router=child)
    before = resource.prlimit(child, resource.RLIMIT_FSIZE)
    with Demo(folder, "token").actor("router") as process:
        with process.without_writes():
            assert resource.prlimit(child, resource.RLIMIT_FSIZE) == (0, before[1])
        assert resource.prlimit(child, resource.RLIMIT_FSIZE) == before


def test_a_process_that_died_meanwhile_is_not_looked_for(api: ServedApi, folder: Path, child: int) -> None:
    named(api, router=child)
    with Demo(folder, "token").actor("router") as process, process.without_writes():
        process.signal(signal.SIGKILL)
        eventually_sync(lambda: not alive(child))


def test_without_a_broker_below_main_there_is_none_to_hit(api: ServedApi, folder: Path) -> None:
    named(api)
    with pytest.raises(ServiceAway, match="the broker does not run"), Demo(folder, "token").broker():
        raise AssertionError("somebody would have been hit")


def test_a_process_began_after_the_one_that_started_it(child: int) -> None:
    assert started_at(child) >= started_at(os.getpid())
