"""A real actor tree in the test's own process: admin, supervisor and dummies are processes of their own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from data_manager.system import hardening, lifecycle
from data_manager.system.clock import SystemClock
from data_manager.system.messages import ActorView, Message, Tree
from data_manager.system.settings import Settings
from data_manager.system.strategy import ChildSpec

KEY = b"the key of the test run, 32 bytes"
_hardened: list[bool] = []

FAST = {
    "heartbeat_s": 0.2,
    "heartbeat_miss_s": 1.0,
    "store_timeout_s": 0.5,
    "start_timeout_s": 15,
    "restart_backoff_s": 0.02,
    "drain_timeout_s": 4,
}


class RunningTree:
    """The tree with the questions tests ask."""

    def __init__(self, settings: Settings, specs: tuple[ChildSpec, ...]) -> None:
        self.settings = settings
        pattern = dummy("ingest/", stage=1, symbol=None, essential=False)
        self.tree = lifecycle.ActorTree(settings, specs, SystemClock(), pattern)

    def look(self) -> Tree:
        self.tree.watch(0.02)
        return self.tree.tree()

    def watch_for_ever(self) -> NoReturn:
        """Until something that nothing can replace dies: SystemDied."""
        while True:
            self.tree.watch(0.05)

    def tell(self, message: Message) -> None:
        """As an actor of the tree would."""
        self.tree._system.tell(self.tree._supervisor, message)

    def heard(self, name: str) -> list[str]:
        """What a listener has heard so far."""
        path = Path(self.settings.data_dir) / f"{name.replace('/', '-')}.heard"
        return path.read_text().splitlines() if path.exists() else []

    def view(self, name: str) -> ActorView:
        return next(view for view in self.look().actors if view.name == name)

    def until(self, check: Callable[[Tree], bool], timeout: float = 8.0) -> Tree:
        """The first tree that passes; AssertionError with the last one otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            tree = self.look()
            if check(tree):
                return tree
            assert time.monotonic() < deadline, f"never happened; last seen: {tree.actors}"

    def until_state(self, name: str, state: str, *, restarts: int = 0, timeout: float = 8.0) -> ActorView:
        def reached(tree: Tree) -> bool:
            view = next(view for view in tree.actors if view.name == name)
            return view.state == state and view.restarts >= restarts

        return next(view for view in self.until(reached, timeout).actors if view.name == name)

    def told(self, name: str) -> str:
        """The generation of a dummy, and the symbols that it knows."""
        path = Path(self.settings.data_dir) / f"{name.replace('/', '-')}.symbols"
        return path.read_text() if path.exists() else ""

    def order(self, name: str, order: str) -> None:
        """Tell a dummy how to die."""
        path = Path(self.settings.data_dir) / f"{name.replace('/', '-')}.order"
        draft = path.with_suffix(".draft")
        draft.write_text(order)
        draft.rename(path)


def dummy(name: str, **fields: Any) -> ChildSpec:
    """A spec of a dummy; ingest/* are the symbols, everything else is essential."""
    symbol = name.partition("/")[2] or None
    defaults: dict[str, Any] = {"stage": 1 if symbol else 2, "symbol": symbol, "essential": symbol is None}
    return ChildSpec(name=name, actor="tests.servers.dummies.Dummy", **(defaults | fields))


@contextlib.contextmanager
def running_tree(data_dir: Path, *specs: ChildSpec, **changes: Any) -> Iterator[RunningTree]:
    """Start, hand out, stop; fails when any process of the tree is left afterwards."""
    if not _hardened:
        hardening.become_subreaper()
        hardening.apply(KEY)
        _hardened.append(True)
    data_dir.mkdir(parents=True, exist_ok=True)
    before = set(lifecycle.descendants_of(os.getpid()))
    running = RunningTree(Settings(data_dir=data_dir, **(FAST | changes)), specs)
    try:
        running.until(lambda tree: all(view.state != "starting" for view in tree.actors))
        yield running
    finally:
        with contextlib.suppress(lifecycle.SystemDied):
            running.tree.stop(4)
        running.tree.close()
        bury(before)


def bury(before: set[int]) -> None:
    """Wait until every process that came since is gone."""
    deadline = time.monotonic() + 5
    while left := set(lifecycle.descendants_of(os.getpid())) - before:
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        assert time.monotonic() < deadline, f"left running: {left}"
        time.sleep(0.02)
