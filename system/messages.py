"""What actors say to each other: small frozen structs, tagged with the sender's name and generation.

Market data never travels this way (README, Architecture). Everything here must survive pickling.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from data_manager.system.metrics import Series, Totals
from data_manager.system.settings import Settings
from data_manager.system.strategy import ChildSpec


class Message(msgspec.Struct, frozen=True):
    """Base of all messages."""


# -- supervisor -> child ------------------------------------------------------------------------------------


class Init(Message, frozen=True):
    """First message to a new actor: who it is. It answers Ready, or Failed and exits."""

    name: str
    generation: int
    settings: Settings
    symbol: str | None = None
    memory_hard_mb: int | None = None
    symbols: tuple[str, ...] = ()  # all active ones of the service, now
    token: int = 0  # of the lease that it runs under; 0: there are no leases


class Ping(Message, frozen=True):
    """Heartbeat; `number` comes back in the Pong."""

    number: int


class Drain(Message, frozen=True):
    """Finish what is in hand, release everything, answer Drained and exit."""


class SymbolsNews(Message, frozen=True):
    """The symbols of the service from now on, all of them; sent to every actor that was told others in its Init."""

    symbols: tuple[str, ...]


class TreeNews(Message, frozen=True):
    """The supervisor's view, sent to http with every heartbeat and at every change of state."""

    tree: Tree


class IncidentNews(Message, frozen=True):
    """An incident to be kept in the catalog; sent again with `ended_ms` when it ends."""

    incident_id: str
    kind: str
    subject: str
    cause: str
    started_ms: int
    ended_ms: int | None = None
    detail: str = ""


# -- child -> supervisor ------------------------------------------------------------------------------------


class Ready(Message, frozen=True):
    """The actor is set up and answers its mailbox."""

    name: str
    generation: int
    pid: int


class Pong(Message, frozen=True):
    """The answer to a Ping, with all the supervisor wants to know.

    `state` is `running`, or `waiting` with the reason in `detail` (e.g. "nats"). `stalled_s` is the age of the older
    of the loop's last tick and the unit of work in hand: a mailbox that answers does not prove that work goes on.
    """

    name: str
    generation: int
    number: int
    state: str
    detail: str
    lag: int | None
    stalled_s: float
    totals: Totals


class Failed(Message, frozen=True):
    """The actor hit an error it does not handle and exits now; `fatal` when only the operator can mend it."""

    name: str
    generation: int
    cause: str
    fatal: bool = False


class Stopping(Message, frozen=True):
    """The actor exits on its own account (for one: its memory limit) and wants to be started again."""

    name: str
    generation: int
    reason: str


class Drained(Message, frozen=True):
    """All is finished and released; the last totals."""

    name: str
    generation: int
    totals: Totals


class Suspected(Message, frozen=True):
    """Data of a symbol may be missing; the auditor looks. Times in ms UTC, None where unknown."""

    name: str
    generation: int
    symbol: str
    reason: str
    detail: str
    start_ms: int | None = None
    end_ms: int | None = None


# -- actor -> actor, through the supervisor -----------------------------------------------------------------


class Hint(Message, frozen=True):
    """Passed on by the supervisor to the actor named `to`, if it runs: look now, do not wait for your next round.

    A hint that is lost costs time and nothing else: the catalog holds all that it tells, and who waits for an answer
    does so for a limited time.
    """

    to: ClassVar[str]


class GapFound(Hint, frozen=True):
    """An audit has saved open gaps of a symbol."""

    to = "backfill"

    symbol: str


class JobRequested(Hint, frozen=True):
    """A job was saved with status pending."""

    to = "backfill"

    job_id: str


class RangeRepaired(Hint, frozen=True):
    """A job has ended: what it fetched of that dataset is stored, with all that is derived from it."""

    to = "auditor"

    symbol: str
    dataset_id: str
    start_ms: int
    end_ms: int


class Disturbed(Hint, frozen=True):
    """What takes in a symbol's events was started anew, or had lost the broker: something may be missing."""

    to = "auditor"

    symbol: str


class AuditRequested(Hint, frozen=True):
    """Audit everything from its beginning, at once."""

    to = "auditor"


class DetectRequested(Hint, frozen=True):
    """Look for anomalies now, by one method; answered by Detected with the same `request_id`."""

    to = "analytics"

    request_id: str
    symbol: str
    timeframe: str
    method: str


class Found(msgspec.Struct, frozen=True):
    """An anomaly: one bar that one method takes for one. `score` is the method's own, above its `limit`."""

    open_time: int  # ms UTC
    method: str
    severity: str  # medium, high or critical
    reason: str
    score: float
    limit: float
    price: float
    volume: float | None = None
    features: dict[str, float | None] | None = None  # of models


class Detected(Hint, frozen=True):
    """What DetectRequested has found.

    `problem` is the sentence that says why it could not look now, `note` why the bars that there are cannot be judged.
    """

    to = "http"

    request_id: str
    anomalies: tuple[Found, ...] = ()
    problem: str = ""
    note: str = ""


# -- anyone -> supervisor -----------------------------------------------------------------------------------


class Command(Message, frozen=True):
    """Restart, pause or resume one actor; answered by CommandDone with the same `request_id`."""

    request_id: str
    actor: str
    action: str  # restart | pause | resume


class CommandDone(Message, frozen=True):
    """`problem` is empty when the command was accepted, else the sentence that says why not."""

    request_id: str
    problem: str
    state: str = ""


class TreeQuery(Message, frozen=True):
    """Ask for the tree; answered by TreeReply."""

    request_id: str


class TreeReply(Message, frozen=True):
    """The tree as it stands."""

    request_id: str
    tree: Tree


class Assign(Message, frozen=True):
    """What runs in this process from now on: from http, or from whoever holds the leases where several share them.

    The supervisor starts what is new, ends what is not there any more, and starts anew what has another token. Each
    Assign is whole: a repetition changes nothing.
    """

    symbols: tuple[str, ...]  # all active ones of the service, in a stable order
    here: dict[str, int] | None = None  # actors under a lease, by name, to their fencing tokens; None: all run here


# -- main <-> supervisor ------------------------------------------------------------------------------------


class Start(Message, frozen=True):
    """Main's first message to the supervisor."""

    settings: Settings
    specs: tuple[ChildSpec, ...]
    per_symbol: ChildSpec  # the pattern of those that come with a symbol
    seed: int  # of the jitter


class Started(Message, frozen=True):
    """The supervisor's answer to Start: its process and its parent, Thespian's admin."""

    pid: int
    admin_pid: int


class Stop(Message, frozen=True):
    """Drain the whole tree, last started first; answered by Stopped."""

    grace_s: float


class Stopped(Message, frozen=True):
    """The tree is down; `killed` names the actors that did not stop in time."""

    killed: tuple[str, ...]
    tree: Tree


class Escalated(Message, frozen=True):
    """An actor is given up: the process must exit. `fatal` when the cause is the operator's to mend."""

    actor: str
    cause: str
    fatal: bool = False


# -- the tree -----------------------------------------------------------------------------------------------


class ActorView(Message, frozen=True):
    """One actor as the supervisor sees it."""

    name: str
    symbol: str | None
    essential: bool
    state: str  # a strategy.State
    detail: str
    pid: int | None
    generation: int
    restarts: int
    last_cause: str | None
    last_exit_ms: int | None
    started_ms: int | None
    uptime_s: float
    lag: int | None
    ever_running: bool


class Tree(Message, frozen=True):
    """All actors, in start order, with the metrics of every generation added up."""

    taken_ms: int
    started_ms: int
    draining: bool
    actors: tuple[ActorView, ...]
    counters: dict[Series, float] = {}
    gauges: dict[Series, float] = {}
    incidents: tuple[IncidentNews, ...] = ()  # open ones
