"""What the demo shows: a live table on a terminal, plain lines elsewhere, and the summary at the end."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from data_manager.system.account import COUNTED, Account
from data_manager.system.demo_gaps import GapNews
from data_manager.system.messages import ActorView, Tree
from data_manager.system.metrics import quantile
from data_manager.system.settings import Settings

LIVE_S, PLAIN_S = 1.0, 5.0  # between two pictures of the status
PLAIN_WIDTH = 110  # of tables where there is no terminal to fit into
LATENCY = "data_manager_publish_to_stored_seconds"


class _Ports(msgspec.Struct):
    """The ports that the http actor bound."""

    api_port: int
    metrics_port: int


class Screen:
    """Writes to the operator's terminal (or pipe). A context manager around the live part."""

    def __init__(self, stream: IO[str], settings: Settings, token_file: Path | None) -> None:
        width = None if stream.isatty() else PLAIN_WIDTH
        self._console = Console(file=stream, highlight=False, soft_wrap=True, width=width)
        self._settings = settings
        self._token_file = token_file
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._next = self._next_gaps = 0.0
        self._addresses_told = False
        self._gaps = GapNews(settings)

    def __enter__(self) -> Screen:
        self.say(f"Petrosa Data Manager, simulated exchange, {', '.join(self._settings.supported_pairs)}")
        self.say(f"  data and log    {self._settings.data_dir}/  (data-manager.log)")
        if self._token_file is not None:
            self.say(f"  token           {self._token_file}")
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line, above the live table where there is one."""
        self._console.print(text, markup=False)

    def show(self, tree: Tree, elapsed: float) -> None:
        """Show the status of the tree `elapsed` seconds after the start, as often as it should be shown."""
        self._tell_addresses()
        if elapsed >= self._next_gaps:
            self._next_gaps = elapsed + LIVE_S
            for news in self._gaps.look():
                self.say(news)
        if elapsed < self._next:
            return
        self._next = elapsed + (LIVE_S if self._live is not None else PLAIN_S)
        line = status_line(tree, elapsed)
        if self._live is None:
            self.say(line)
        else:
            self._live.update(Group(actor_table(tree), Text(line), Text("Ctrl-C stops.", style="dim")), refresh=True)

    def summary(self, account: Account, published: int, carried: int, tree: Tree) -> None:
        """What became of everything that was published."""
        table = Table("event type", box=None, pad_edge=False)
        for name in COUNTED:
            table.add_column(name, justify="right", no_wrap=True)
        for kind, counts in sorted(account.by_type.items()):
            table.add_row(kind, *(f"{counts[name]:,}" for name in COUNTED))
        table.add_row("total", *(f"{account.total(name):,}" for name in COUNTED))
        self._console.print(table)
        extra = f" and {carried:,} left by an earlier run" if carried else ""
        self.say(
            f"published {published:,}{extra}, stored {account.total('stored'):,}, "
            f"duplicates {account.total('duplicate'):,}, quarantined {account.total('quarantined'):,}, "
            f"publish to stored {latency(tree)}"
        )
        missing = published + carried - account.events
        if missing == 0 and account.balanced:
            self.say("The counts reconcile: published = received - redelivered, and each event has one outcome.")
        elif missing:
            self.say(f"The counts do not reconcile: {missing:+,} events published but not received.")
        else:
            self.say("The counts do not reconcile: some events have no outcome, or more than one.")

    def _tell_addresses(self) -> None:
        if self._addresses_told:
            return
        try:
            ports = msgspec.json.decode(self._settings.ports_file.read_bytes(), type=_Ports)
        except FileNotFoundError:
            return
        self._addresses_told = True
        self.say(f"  dashboard       http://127.0.0.1:{ports.api_port}/")
        self.say(f"  API             http://127.0.0.1:{ports.api_port}/health/summary")
        self.say(
            f"  candles         http://127.0.0.1:{ports.api_port}/data/candles?pair="
            f"{self._settings.supported_pairs[0]}&period=1m"
        )
        self.say(f"  actors          http://127.0.0.1:{ports.api_port}/system/tree")
        self.say(f"  metrics         http://127.0.0.1:{ports.metrics_port}/metrics")


def status_line(tree: Tree, elapsed: float) -> str:
    """The status in one line."""
    running = sum(view.state == "running" for view in tree.actors)
    outcomes = {
        outcome: int(
            sum(
                n
                for (name, labels), n in tree.counters.items()
                if name == "data_manager_events_total" and ("outcome", outcome) in labels
            )
        )
        for outcome in ("stored", "duplicate", "quarantined")
    }
    published = int(sum(n for (name, _), n in tree.counters.items() if name == "data_manager_published_total"))
    return (
        f"{elapsed:5.0f} s  {running}/{len(tree.actors)} actors running  published {published:,}  "
        f"stored {outcomes['stored']:,}  duplicates {outcomes['duplicate']:,}  "
        f"quarantined {outcomes['quarantined']:,}  publish to stored {latency(tree)}"
    )


def latency(tree: Tree) -> str:
    """p50 and p99 of publish to stored, as the upper bounds of their histogram buckets (15 % wide)."""
    p50, p99 = (quantile(tree.counters, LATENCY, q) for q in (0.5, 0.99))
    if p50 is None or p99 is None:
        return "p50 - p99 -"
    return f"p50 <= {p50 * 1000:.0f} ms, p99 <= {p99 * 1000:.0f} ms"


def actor_table(tree: Tree) -> Table:
    """Every actor with its state."""
    table = Table("actor", "state", "pid", "up", "restarts", "lag", "last cause", box=None, pad_edge=False)
    for view in tree.actors:
        table.add_row(*actor_row(view))
    return table


def actor_row(view: ActorView) -> tuple[str, ...]:
    """One row of the table."""
    return (
        view.name,
        f"{view.state} {view.detail}".strip(),
        str(view.pid or "-"),
        f"{view.uptime_s:.0f} s",
        str(view.restarts),
        "-" if view.lag is None else str(view.lag),
        view.last_cause or "-",
    )
