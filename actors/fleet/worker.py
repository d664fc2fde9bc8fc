"""The worker that makes several replicas one service: it holds leases, and says what runs here under them.

It contends all the time: every look renews what it has, tries for what it should have, and gives back what another
should have, once nobody works under it here any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from data_manager import __version__
from data_manager.actors.audit.worker import until
from data_manager.actors.fleet.looking import Seen, leave, look
from data_manager.actors.fleet.post import Post
from data_manager.actors.fleet.predecessor import succeed
from data_manager.actors.fleet.shared import Shared, open_shared
from data_manager.actors.questions import Questions
from data_manager.http.store_thread import StoreThread
from data_manager.storage.leases import LEASE_S
from data_manager.storage.members import Member, Running
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError
from data_manager.system.fleet_messages import AskHolder, Elsewhere, FleetNews, Replica, Scheduled
from data_manager.system.logs import log
from data_manager.system.messages import Assign, CommandDone, Message, Tree, TreeQuery, TreeReply
from data_manager.system.strategy import ALIVE, NOT_OURS
from data_manager.system.tree import ANALYTICS, AUDITOR, BACKFILL, INGEST, leasable
from data_manager.system.worker import Context, Status

ROUND_S = 1.0  # between two looks: so long does nobody notice that a lease is free
TREE_S = 3.0  # how long the supervisor may take to tell its tree
LEAVE_S = 1.5  # for giving everything back at the end
MARGIN_S = 1.0  # before its lease expires, what must not run twice is stopped
SETTLE_S = 3 * ROUND_S  # after an outage of the catalog nothing is taken before all others are back
HOST_LENGTH = 64  # of its name, in that of the replica
NEVER_TWICE = (AUDITOR, BACKFILL)  # what else runs under a lease does no harm where it runs twice for a while


class FleetWorker:
    """Tells the supervisor what runs here. Without the catalog that stays as it was, but for NEVER_TWICE."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shared: StoreThread[Shared] = StoreThread("catalog", lambda: open_shared(context))
        self._trees: Questions[TreeReply] = Questions(
            context.rng, most=1, patience_s=TREE_S, refusal="the supervisor is being asked already"
        )
        self._post = Post(context, self._shared, lambda: self._replica, lambda: self._tokens)
        self._replica = ""
        self._member: Member | None = None  # this replica, as it was told of last
        self._seen: Seen | None = None  # at the last look
        self._tokens: Mapping[str, int] = {}  # of what was last said to run here
        self._told: Assign | None = None
        self._renewed_at = self._takes_from = float("-inf")
        self._away = False
        self._shown: set[str] = set()  # leases that the metrics tell of

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`, by when nothing that is leased runs here any more; then give everything back."""
        try:
            await until(stop, self._rounds(), self._post.run())
        finally:
            if stop.is_set():
                with suppress(StoreError, TimeoutError):  # who comes next takes it all when it has expired
                    async with asyncio.timeout(LEAVE_S):
                        await self._shared.call(lambda shared: leave(shared, self._replica, frozenset()))
            await self._shared.close()

    def status(self) -> Status:
        """`waiting` until the first look has succeeded, and while the catalog is away."""
        if self._seen is None:
            return Status("waiting", "leases")
        return Status("waiting", "catalog") if self._away else Status("running")

    def busy_since(self) -> float | None:
        """Calls have their own time limits; the loop's ticks tell whether it turns."""
        return None

    def receive(self, message: Message) -> None:
        """The supervisor's tree, and what is to be carried to other replicas."""
        match message:
            case TreeReply():
                self._trees.answered(message.request_id, message)
            case Elsewhere() | AskHolder() | CommandDone():
                self._post.receive(message)
            case _:
                raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    async def _rounds(self) -> None:
        clock = self._context.clock
        while True:
            began = clock.monotonic()
            try:
                await self._round()
            except StoreError as error:
                self._without_catalog(error)
            await asyncio.sleep(max(0.0, began + ROUND_S - clock.monotonic()))

    async def _round(self) -> None:
        tree = await self._tree()
        if tree is not None:
            await self._is_known_as(member_of(tree, leasable(self._context.settings)))
        if self._member is None:
            return
        if tree is not None and tree.draining:
            await self._shared.call(lambda shared: leave(shared, self._replica, at_work(tree)))
        else:
            await self._look(self._member, tree)

    async def _is_known_as(self, member: Member) -> None:
        if self._replica != member.replica:
            folder = self._context.settings.data_dir
            await self._shared.call(lambda shared: succeed(shared, folder, member))
            self._replica = member.replica
        self._member = member

    async def _look(self, member: Member, tree: Tree | None) -> None:
        clock, configured = self._context.clock, self._context.settings.supported_pairs
        asked_at, at_ms = clock.monotonic(), now_ms(clock)
        busy = None if tree is None else at_work(tree) | self._tokens.keys()
        may_take = self._may_take(asked_at) and tree is not None
        seen = await self._shared.call(lambda shared: look(shared, member, configured, busy, at_ms, may_take=may_take))
        self._renewed_at = asked_at
        if seen.was_gone:
            self._takes_from = asked_at + SETTLE_S
        if self._away:
            log("leases_renewed_again")
            self._away = False
        self._seen = seen
        self._say(seen.tokens)
        self._tell_http(seen)

    async def _tree(self) -> Tree | None:
        """What runs here; None where the supervisor does not tell in time, which is no reason to let leases expire."""
        try:
            return (await self._trees.ask(lambda request: self._context.send(TreeQuery(request)))).tree
        except TimeoutError:
            log("supervisor_silent", logging.WARNING)
            return None

    def _may_take(self, now: float) -> bool:
        if self._away:
            self._takes_from = now + SETTLE_S
        return now >= self._takes_from

    def _without_catalog(self, error: StoreError) -> None:
        if not self._away:
            log("leases_not_renewed", logging.WARNING, cause=str(error))
        self._away = True
        if self._context.clock.monotonic() >= self._renewed_at + LEASE_S - MARGIN_S:
            self._say({name: token for name, token in self._tokens.items() if name not in (*NEVER_TWICE, ANALYTICS)})

    def _say(self, tokens: Mapping[str, int]) -> None:
        """Have this run here, and nothing else that is leased; the supervisor is told of changes."""
        if self._seen is None:
            return
        send, here = self._context.send, {name: token for name, token in tokens.items() if name != ANALYTICS}
        if self._told is None or (self._told.symbols, self._told.here) != (self._seen.symbols, here):
            symbols = sum(name.startswith(INGEST) for name in tokens)
            log("leases", symbols=symbols, others=sorted(name for name in tokens if not name.startswith(INGEST)))
            self._told = Assign(self._seen.symbols, here)
            send(self._told)
        if self._context.settings.enable_analytics:
            send(Scheduled(tokens.get(ANALYTICS, 0)))  # every time: it may have been started anew
        self._tokens = tokens
        for name in self._shown | tokens.keys():
            self._context.metrics.set("data_manager_lease_held", float(name in tokens), lease=name)
        self._shown |= tokens.keys()

    def _tell_http(self, seen: Seen) -> None:
        self._context.metrics.set("data_manager_members", len(seen.members))
        if self._context.settings.enable_api:
            replicas = tuple(replica_of(member, seen.holders) for member in seen.members)
            self._context.send(FleetNews(self._replica, replicas, dict(seen.holders)))


def at_work(tree: Tree) -> frozenset[str]:
    """The leases under which somebody works here: analytics, which is in each replica, says nothing of its own."""
    return frozenset(view.name for view in tree.actors if view.state in ALIVE) - {ANALYTICS}


def member_of(tree: Tree, able: tuple[str, ...]) -> Member:
    """This process as others see it. Its name is that of no other: not even of the next one in the same place."""
    host, supervisor = socket.gethostname(), os.getppid()
    return Member(
        replica=f"{host[:HOST_LENGTH]}/{supervisor}/{tree.started_ms}",
        host=host,
        pid=supervisor,
        version=__version__,
        started_ms=tree.started_ms,
        leasable=able,
        actors=tuple(
            Running(view.name, view.state, view.detail, view.pid, view.restarts)
            for view in tree.actors
            if view.state not in NOT_OURS
        ),
    )


def replica_of(member: Member, holders: Mapping[str, str]) -> Replica:
    """A member as http shows it."""
    return Replica(
        replica=member.replica,
        host=member.host,
        pid=member.pid,
        version=member.version,
        started_ms=member.started_ms,
        leases=tuple(sorted(name for name, owner in holders.items() if owner == member.replica)),
        actors=tuple((each.name, each.state, each.detail, each.pid, each.restarts) for each in member.actors),
    )
