"""The end of it: whether every event that was published is accounted for, once, and no trade id is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from data_manager.system.account import Account, read_account
from data_manager.system.clock import Clock
from data_manager.system.commands.disorder.territory import Demo
from data_manager.system.commands.ledger import verified
from data_manager.system.demo import SETTLE_S, last_sequence
from data_manager.system.errors import ServiceAway, StoreUnavailable
from data_manager.system.settings import Settings
from data_manager.system.tree import EXCHANGE

T = TypeVar("T")

POLL_S = 0.5
ANSWER_S = 60.0  # within which the service does what it is asked, however much it has to do
REPAIR_S = 150.0  # within which a hole of the last outage is found, fetched and closed
RUNNING, PAUSED = "running", "paused"
HOURS = 24  # trade ids are looked at


class Count(NamedTuple):
    """What FEED has taken and what the ledgers know, while nobody publishes."""

    published: int
    account: Account

    @property
    def missing(self) -> int:
        """Published, and in no ledger."""
        return self.published - self.account.events


class Verdict(NamedTuple):
    """What was found between two counts."""

    published: int
    received: int  # distinct events
    garbage: int  # sent
    quarantined: int
    balanced: bool
    found: tuple[str, ...]  # what `ledger verify` says is wrong, with the symbol

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words; empty when all is well."""
        told = list(self.found)
        if self.published != self.received:
            told.append(f"{self.published:,} events were published, but {self.received:,} are in the ledger")
        if self.garbage != self.quarantined:
            told.append(f"{self.garbage:,} messages were garbage, but {self.quarantined:,} are in quarantine")
        if not self.balanced:
            told.append("some events have no outcome, or more than one")
        return told


def count(demo: Demo, settings: Settings, clock: Clock, missing: int = 0) -> Count:
    """Silence the exchange, wait until all that it published is stored, count, and let it go on.

    `missing` is by how much the two differed before, for data that is older than the broker's or younger.
    """
    in_feed = settings.model_copy(update={"nats_url": demo.nats_url})
    with silenced(demo, clock):
        best, since = None, clock.monotonic()
        while True:
            with_ledgers = patiently(lambda: read_account(settings), clock)
            found = Count(asyncio.run(last_sequence(in_feed)) or 0, with_ledgers)
            now = clock.monotonic()
            if found != best:
                best, since = found, now
            if found.missing == missing or now - since > settings.ack_wait_s + SETTLE_S:
                return found
            time.sleep(POLL_S)


def judged(before: Count, after: Count, garbage: int, found: tuple[str, ...]) -> Verdict:
    """The verdict on all that happened between two counts. Pure."""
    between = after.account.since(before.account)
    return Verdict(
        published=after.published - before.published,
        received=between.events,
        garbage=garbage,
        quarantined=between.total("quarantined"),
        balanced=between.balanced,
        found=found,
    )


def holes(settings: Settings, clock: Clock) -> tuple[str, ...]:
    """What `ledger verify` says, once it says nothing or REPAIR_S are over: the demo's feed keeps failing by itself,
    and what it has lost is fetched after a while."""
    deadline = clock.monotonic() + REPAIR_S
    while True:
        verdicts = patiently(lambda: verified(settings, clock, HOURS), clock)
        found = tuple(f"{each.symbol}: {problem}" for each in verdicts for problem in each.problems)
        if not found or clock.monotonic() > deadline:
            return found
        time.sleep(POLL_S)


@contextmanager
def silenced(demo: Demo, clock: Clock) -> Iterator[None]:
    """The exchange publishes nothing meanwhile; raises ServiceAway."""
    command(demo, clock, "pause", RUNNING, PAUSED)
    try:
        yield
    finally:
        command(demo, clock, "resume", PAUSED, RUNNING)


def command(demo: Demo, clock: Clock, action: str, before: str, after: str) -> None:
    """Have the exchange go from one state to another, and wait until it has; raises ServiceAway."""

    def done() -> None:
        state = state_of(demo)
        if state == before:  # in between no command applies
            demo.service.post(f"/system/actors/{EXCHANGE}/{action}")
        if state != after:
            raise ServiceAway(f"The exchange is {state}, and is to be {after}.")

    patiently(done, clock)


def state_of(demo: Demo) -> str:
    """Of the exchange; raises ServiceAway."""
    return next(actor.state for actor in demo.tree().actors if actor.name == EXCHANGE)


def patiently(ask: Callable[[], T], clock: Clock) -> T:
    """The answer, asked for again and again while there is none; raises the last reason after ANSWER_S."""
    deadline = clock.monotonic() + ANSWER_S
    while True:
        try:
            return ask()
        except (ServiceAway, StoreUnavailable):
            if clock.monotonic() > deadline:
                raise
        time.sleep(POLL_S)
