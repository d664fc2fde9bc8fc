"""Which fault is committed when, and on what: all of it follows from a seed. Pure.

The pace is one that the service promises to survive. No target is hit again before it has had time to recover, so
that no restart budget (RESTART_INTENSITY times in RESTART_WITHIN_S seconds, and the broker's own) is ever used up: what
happens beyond a budget is a promise of its own, and a process that ends by it would end the experiment.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from data_manager.system.tree import AUDITOR, BACKFILL, HTTP, INGEST, ROUTER

GAP_S = (2.0, 5.5)  # from one fault to the next: at least ten in a minute
REST_S = 30.0  # before the same target is hit again
HELD_S = (3.0, 8.0)  # how long a store refuses: around STORE_TIMEOUT_S, so that some writes fail and some only wait
MESSAGES = (10, 200)  # of one burst of garbage
BROKER, FEED_SUBJECT = "broker", "feed"
# http is only killed: while it hangs nobody could see whom the supervisor names. Analytics and the exchange are left
# alone: the one takes seconds of CPU to start, the other is the instrument that everything is measured with.
PARTS = (ROUTER, AUDITOR, BACKFILL)


class Fault(StrEnum):
    """What can happen; the value is its name on the screen."""

    KILL = "kill"  # SIGKILL
    HANG = "hang"  # SIGSTOP: alive, and deaf
    STOP = "stop"  # an ordered restart, as an operator asks for it
    BROKER_KILL = "broker killed"
    BROKER_STOP = "broker stopped"  # SIGTERM
    STORE_HELD = "store held"  # somebody else has the write lock of the symbol's file
    WRITES_REFUSED = "writes refused"  # by the operating system, as a disk without room does
    GARBAGE = "garbage"  # messages that are no events


class Event(NamedTuple):
    """One fault of the schedule."""

    at_s: float  # from the start
    fault: Fault
    target: str  # an actor's name, BROKER, or FEED_SUBJECT
    seconds: float = 0.0  # it lasts; 0 for what is over at once
    messages: int = 0  # of garbage
    seed: int = 0  # of what is in them

    @property
    def symbol(self) -> str | None:
        """Of the ingest actor that it hits."""
        return self.target.removeprefix(INGEST) if self.target.startswith(INGEST) else None


# What one round holds, each round in an order of its own: most of what happens to processes in earnest is their death.
DECK = (
    *[Fault.KILL] * 3,
    Fault.HANG,
    Fault.STOP,
    Fault.BROKER_KILL,
    Fault.BROKER_STOP,
    Fault.STORE_HELD,
    Fault.WRITES_REFUSED,
    Fault.GARBAGE,
)


def schedule(seed: int, minutes: float, symbols: Sequence[str], parts: Sequence[str] = PARTS) -> tuple[Event, ...]:
    """The faults of so many minutes, by time; the same arguments give the same ones.

    `parts` are the actors beside ingest and http. What finds no target that has rested waits for its turn: with few
    symbols there are fewer faults.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret: that it can be had again is the point
    return tuple(dealt(rng, minutes * 60, tuple(symbols), tuple(parts)))


def dealt(rng: random.Random, ends_s: float, symbols: tuple[str, ...], parts: tuple[str, ...]) -> Iterator[Event]:
    """One event after the other, until the time is over."""
    hit: dict[str, float] = {}
    deck: list[Fault] = []
    at_s = rng.uniform(*GAP_S)
    while at_s < ends_s:
        deck = deck or rng.sample(DECK, len(DECK))
        for place, fault in enumerate(deck):
            rested = [name for name in targets(fault, symbols, parts) if at_s - hit.get(name, -REST_S) >= REST_S]
            if rested:
                target = rng.choice(rested)
                hit[target] = at_s
                del deck[place]
                yield event(rng, round(at_s, 1), fault, target)
                break
        at_s += rng.uniform(*GAP_S)


def targets(fault: Fault, symbols: tuple[str, ...], parts: tuple[str, ...]) -> tuple[str, ...]:
    """Whom it may hit."""
    ingest = tuple(f"{INGEST}{symbol}" for symbol in symbols)
    match fault:
        case Fault.KILL:
            return (*ingest, *parts, HTTP)
        case Fault.HANG | Fault.STOP:
            return (*ingest, *parts)
        case Fault.BROKER_KILL | Fault.BROKER_STOP:
            return (BROKER,)
        case Fault.STORE_HELD | Fault.WRITES_REFUSED:
            return ingest
        case Fault.GARBAGE:
            return (FEED_SUBJECT,)


def event(rng: random.Random, at_s: float, fault: Fault, target: str) -> Event:
    """With what else is to be known of it."""
    if fault is Fault.GARBAGE:
        return Event(at_s, fault, target, messages=rng.randint(*MESSAGES), seed=rng.getrandbits(32))
    if fault in (Fault.STORE_HELD, Fault.WRITES_REFUSED):
        return Event(at_s, fault, target, seconds=round(rng.uniform(*HELD_S), 1))
    return Event(at_s, fault, target)
