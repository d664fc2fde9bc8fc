"""What every actor does whatever its work is: each on real processes, under a real supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
import pytest

from data_manager.system import aio
from data_manager.system.actor import BaseActor, resident_bytes
from data_manager.system.aio import AsyncActor
from data_manager.system.errors import ConfigError
from data_manager.system.messages import Init, Message, Suspected
from data_manager.system.metrics import series
from data_manager.system.strategy import ChildSpec
from data_manager.system.worker import Context, Status
from tests.servers.dummies import Obedient
from tests.servers.tree import RunningTree, dummy, running_tree

A, B = "ingest/A", "ingest/B"
POSTS = 20  # what the outbox holds in these tests
MISS_S, SLOW_S = 1.2, 1.5  # without an answer, an actor counts as hung; to start, it may take longer
SPARE_MIB = 40


class Idle(Obedient):
    """Works at nothing until it is told to stop, then notes that it has finished."""

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.turn()
            await asyncio.sleep(0.02)
        await self.finish()
        Path(self.context.settings.data_dir, f"finished-{self.context.generation}").touch()

    def turn(self) -> None: ...

    async def finish(self) -> None: ...

    def told(self, order: str) -> bool:
        """Whether the test has ordered this."""
        return self.order.exists() and self.order.read_text() == order


class Quitter(Idle):
    async def run(self, stop: asyncio.Event) -> None:
        while self.context.generation > 1 or not self.told("return"):
            await asyncio.sleep(0.02)


class Quitting(AsyncActor):
    def make_worker(self, context: Context) -> Quitter:
        return Quitter(context)


class Flooder(Idle):
    """Sends and sends while the actor's thread is kept by `status`."""

    flooded = False

    def turn(self) -> None:
        if self.told("flood") and self.context.generation == 1:
            self.flooded = True
            name, generation = self.context.name, self.context.generation
            while True:
                self.context.send(Suspected(name, generation, "A", "flood", ""))

    def status(self) -> Status:
        if self.told("flood") and self.context.generation == 1:
            while not self.flooded:
                time.sleep(0.01)
            time.sleep(0.3)
        return Status("running")


class Flooding(AsyncActor):
    def make_worker(self, context: Context) -> Flooder:
        return Flooder(context)


class Slow(Idle):
    """Has much in hand when it is told to stop."""

    async def finish(self) -> None:
        await asyncio.sleep(0.7)


class Hoarder(Slow):
    def turn(self) -> None:
        if self.told("hoard") and self.context.generation == 1 and not hasattr(self, "hoard"):
            self.hoard = b"x" * (2 * SPARE_MIB * 2**20)


class Finishing(AsyncActor):
    def make_worker(self, context: Context) -> Slow:
        return Slow(context)


class Hoarding(AsyncActor):
    def begin(self, init: Init) -> None:
        self.limit = (resident_bytes() >> 20) + SPARE_MIB
        super().begin(init)

    def make_worker(self, context: Context) -> Hoarder:
        return Hoarder(context)

    def memory_soft_mb(self) -> int | None:
        return self.limit


class SlowToImport(AsyncActor):
    def make_worker(self, context: Context) -> Idle:
        time.sleep(SLOW_S)
        return Idle(context)


class Plain(BaseActor):
    """An actor without a worker."""


class Refusing(BaseActor):
    def begin(self, init: Init) -> None:
        raise ConfigError("the port is not free: take another")


class FailingOnce(BaseActor):
    def begin(self, init: Init) -> None:
        if init.generation == 1:
            raise ValueError("not now")


class Deaf(BaseActor):
    """Understands no message, but for one generation pretends to."""

    def on_message(self, message: Message) -> None:
        if self.generation > 1:
            return
        super().on_message(message)


def hosted(name: str, actor: type[BaseActor], **fields: object) -> ChildSpec:
    """A spec of one of the actors above."""
    return msgspec.structs.replace(dummy(name, **fields), actor=f"{actor.__module__}.{actor.__name__}")


def restarted(tree: RunningTree, name: str) -> str:
    """The cause of the first death, once the actor runs again."""
    return tree.until_state(name, "running", restarts=1).last_cause or ""


def finished(tree: RunningTree, generation: int) -> bool:
    """Whether that generation's worker came to its end."""
    return Path(tree.settings.data_dir, f"finished-{generation}").exists()


def test_a_worker_that_returns_by_itself_has_crashed(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, Quitting)) as tree:
        tree.until_state(A, "running")
        tree.order(A, "return")
        assert restarted(tree, A) == "WorkerEndedError: ingest/A's work ended by itself"


def test_a_worker_that_sends_faster_than_its_actor_takes_crashes_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "OUTBOX_MAX", POSTS)  # before the fork, so the actor has it
    with running_tree(tmp_path, hosted(A, Flooding), heartbeat_miss_s=4) as tree:
        tree.until_state(A, "running")
        tree.order(A, "flood")
        assert restarted(tree, A) == f"RuntimeError: ingest/A: {POSTS} messages wait for the actor's thread"


def test_an_actor_that_is_stopped_finishes_what_it_has_in_hand(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, Finishing)) as tree:
        tree.until_state(A, "running")
        stopped = tree.tree.stop(4)
        assert stopped.killed == ()
        assert [view.last_cause for view in stopped.tree.actors] == ["stopped"]
        assert finished(tree, 1)


def test_an_actor_that_is_restarted_on_command_finishes_first(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, Finishing)) as tree:
        tree.until_state(A, "running")
        assert tree.tree.command(A, "restart") == ""
        assert restarted(tree, A) == "stopped"
        assert finished(tree, 1)


def test_above_its_soft_memory_limit_an_actor_finishes_and_starts_afresh(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, Hoarding), dummy(B)) as tree:
        tree.until_state(A, "running")
        sibling = tree.until_state(B, "running").pid
        tree.order(A, "hoard")
        cause = restarted(tree, A)
        assert cause.startswith("memory ")
        assert " MiB above its limit of " in cause
        assert finished(tree, 1)
        assert tree.view(A).restarts == 1, "the new one is not above the limit"
        assert tree.view(B).pid == sibling


def test_every_answer_to_a_heartbeat_tells_the_resident_memory(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy(A)) as tree:
        tree.until_state(A, "running")
        gauge = series("data_manager_actor_memory_bytes", {"actor": A})
        told = tree.until(lambda seen: gauge in seen.gauges).gauges[gauge]
        assert 2**20 < told < 2**30
        assert told % os.sysconf("SC_PAGE_SIZE") == 0


def test_what_takes_long_to_import_is_not_taken_for_hung(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, SlowToImport), heartbeat_miss_s=MISS_S) as tree:
        assert tree.until_state(A, "running").restarts == 0


def test_a_message_that_a_worker_does_not_understand_is_a_crash(tmp_path: Path) -> None:
    with running_tree(tmp_path, dummy("http", essential=False)) as tree:  # the one that the supervisor tells its news
        view = tree.until(lambda seen: seen.actors[0].last_cause is not None).actors[0]
        assert (view.last_cause or "").startswith("AssertionError: nobody writes to http, but TreeNews(")


def test_a_message_that_an_actor_does_not_understand_is_a_crash_and_not_its_senders(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted("http", Deaf, essential=False), dummy(A)) as tree:
        supervisor = tree.tree.supervisor_pid
        assert restarted(tree, "http") == "TypeError: http does not understand TreeNews"
        assert tree.view(A).restarts == 0
        os.kill(supervisor, 0)


def test_an_actor_that_cannot_be_set_up_is_started_again(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, FailingOnce)) as tree:
        assert restarted(tree, A) == "ValueError: not now"


@pytest.mark.parametrize("name", ["router", A], ids=["essential", "one symbol"])
def test_what_only_the_operator_can_mend_is_not_tried_again_but_told(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ConfigError, match=r"\Athe port is not free: take another\Z"),
        running_tree(tmp_path, hosted(name, Refusing)) as tree,
    ):
        tree.until(lambda _: False)


def test_an_actor_without_work_of_its_own_runs_and_stops(tmp_path: Path) -> None:
    with running_tree(tmp_path, hosted(A, Plain)) as tree:
        tree.until_state(A, "running")
        assert tree.tree.stop(2).killed == ()
