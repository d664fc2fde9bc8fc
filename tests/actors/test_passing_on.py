"""Messages for an actor that another replica runs go to fleet; those that come from there, to the actor here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_manager.system.fleet_messages import Brought, Elsewhere
from data_manager.system.messages import Assign, AuditRequested, GapFound, Message, Suspected
from data_manager.system.strategy import ChildSpec
from tests.servers.tree import RunningTree, dummy, running_tree

SUSPICION = Suspected("ingest/A", 1, "A", "depth_chain", "a break", 1, 2)


def listener(name: str, **fields: Any) -> ChildSpec:
    spec = dummy(name, **fields)
    return ChildSpec(spec.name, "tests.servers.dummies.Listener", spec.stage, essential=False, leased=spec.leased)


def until_heard(tree: RunningTree, name: str, *messages: Message) -> None:
    tree.until(lambda _: len(tree.heard(name)) >= len(messages))
    assert tree.heard(name) == [str(message) for message in messages]


def test_what_is_for_an_actor_that_runs_elsewhere_goes_to_fleet(tmp_path: Path) -> None:
    with running_tree(tmp_path, listener("fleet"), listener("auditor", leased=True), listener("backfill")) as tree:
        tree.until_state("fleet", "running")
        tree.until_state("backfill", "running")
        assert tree.view("auditor").state == "elsewhere"
        for message in (AuditRequested(), SUSPICION, GapFound("A")):
            tree.tell(message)
        until_heard(tree, "backfill", GapFound("A"))
        until_heard(tree, "fleet", Elsewhere("auditor", AuditRequested()), Elsewhere("auditor", SUSPICION))


def test_what_comes_from_another_replica_goes_to_the_actor_and_not_back(tmp_path: Path) -> None:
    with running_tree(tmp_path, listener("fleet"), listener("auditor", leased=True)) as tree:
        tree.until_state("fleet", "running")
        tree.tell(Brought("auditor", GapFound("early")))  # it has just passed on: a hint that is lost
        tree.tell(Assign((), {"auditor": 5}))
        tree.until_state("auditor", "running")
        tree.tell(Brought("auditor", SUSPICION))
        tree.tell(AuditRequested())
        until_heard(tree, "auditor", SUSPICION, AuditRequested())
        assert tree.heard("fleet") == []
