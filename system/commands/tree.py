"""`data-manager tree`: the actors of the running service as their supervisor sees them."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from data_manager.system.commands.options import Assign, ConfigFile
from data_manager.system.commands.service import AsJson, Service, Url, connect, echo_json
from data_manager.system.errors import ConfigError

if TYPE_CHECKING:
    from data_manager.system.commands.service_answers import Tree

WATCH_S = 1.0
CLEAR = "\x1b[H\x1b[2J"
ELSEWHERE = "elsewhere"  # the state of an actor that another replica runs
HEADING = ("ACTOR", "STATE", "PID", "RESTARTS", "UP", "LAG", "LAST CAUSE", "DETAIL")


def tree(
    watch: Annotated[bool, typer.Option("--watch", help="Again every second, until Ctrl-C.")] = False,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Show every actor with its state, process, restarts and last cause of death, and what is wrong now.

    Exit codes: 0 shown, 2 usage, 3 the service does not answer.
    """
    if watch and as_json:
        raise ConfigError("--watch is for people: ask for --json as often as you like.")
    service = connect(config_file, assign, url)
    if not watch:
        body = service.get("/system/tree")
        shown = in_words(body)
        if as_json:
            echo_json(body)
        else:
            typer.echo(shown)
        return
    with suppress(KeyboardInterrupt):  # which is how it ends
        follow(service)


def follow(service: Service) -> None:
    """Show the tree again and again, where there is a terminal in the place of the last one; raises ServiceAway."""
    while True:
        shown = in_words(service.get("/system/tree"))
        typer.echo(f"{CLEAR}{shown}" if sys.stdout.isatty() else shown)
        time.sleep(WATCH_S)


def in_words(body: bytes) -> str:
    """The tree as text."""
    from data_manager.system.commands.service_answers import Tree, decode
    from data_manager.system.commands.showing import columns

    found = decode(body, Tree)
    incidents = [f"{each.kind} {each.subject}: {each.cause}" for each in found.incidents]
    return "\n".join([columns(HEADING, rows(found)), *replicas(found), *incidents])


def rows(found: Tree) -> list[tuple[str, ...]]:
    """A line for the supervisor, and one for each of its actors."""
    from data_manager.system.commands.showing import lasting, printable

    lines: list[tuple[str, ...]] = [("supervisor", "draining" if found.draining else "running", *[""] * 6)]
    for number, actor in enumerate(found.actors, 1):
        branch = "└─" if number == len(found.actors) else "├─"
        lines.append(
            (
                f"{branch} {actor.name}",
                actor.state,
                "-" if actor.pid is None else str(actor.pid),
                str(actor.restarts),
                lasting(actor.uptime_s),
                "-" if actor.lag is None else f"{actor.lag:,}",
                printable(actor.last_cause or "-"),
                printable(actor.detail if actor.state != ELSEWHERE else f"in {actor.holder or 'no replica'}"),
            )
        )
    return lines


def replicas(found: Tree) -> list[str]:
    """A line for each replica, where there are several."""
    from data_manager.system.commands.showing import printable

    if found.fleet is None or len(found.fleet.replicas) < 2:
        return []
    return [
        printable(
            f"{each.replica}{' (this one)' if each.replica == found.fleet.me else ''}: {', '.join(each.leases) or '-'}"
        )
        for each in found.fleet.replicas
    ]
