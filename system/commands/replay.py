"""`data-manager replay`: publish a recording of the feed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_manager.system.commands.options import Assign, ConfigFile, LogLevel, NatsUrl, load_settings
from data_manager.system.errors import ConfigError

if TYPE_CHECKING:
    from data_manager.system.replay import Replayed


def replay(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON, one message a line; may be .gz.")],
    rate: Annotated[float | None, typer.Option(metavar="N", help="Events a second.")] = None,
    speed: Annotated[
        float | None, typer.Option(metavar="X", help="By event time, X times as fast as it happened.")
    ] = None,
    nats: NatsUrl = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    log_level: LogLevel = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a line.")] = False,
) -> None:
    """Publish a recording on the feed's subject.

    As fast as NATS takes it, unless --rate or --speed is given. Exit codes: 0 all is published, 1 a line
    is no JSON, 2 usage or settings, 3 NATS is not there or does not take the events.
    """
    import asyncio

    import msgspec

    from data_manager.system.clock import SystemClock
    from data_manager.system.commands.progress import progress
    from data_manager.system.commands.service import echo_json
    from data_manager.system.logs import configure
    from data_manager.system.replay import replay as publish
    from data_manager.system.settings import EMBEDDED

    settings = load_settings(config_file, assign, nats_url=nats, log_level=log_level or "WARNING").settings
    if settings.nats_url == EMBEDDED:
        raise ConfigError("A replay needs a server that runs: name it with --nats nats://HOST:PORT.")
    configure("replay", settings.log_level, sys.stderr, human=True)
    clock = SystemClock()
    with progress(clock, "event") as tell:
        done = asyncio.run(publish(recording, settings, clock, rate=rate, speed=speed, progress=tell))
    subject = settings.nats_consumer_subject
    if as_json:
        echo_json(msgspec.json.encode({**msgspec.structs.asdict(done), "subject": subject}))
    else:
        typer.echo(summary(done, subject))


def summary(done: Replayed, subject: str) -> str:
    """What was published, how fast, and whether anything keeps it."""
    per_second = done.published / done.seconds if done.seconds else 0
    kept = "captured by a stream" if done.captured else "no stream captured them: only who listened has them"
    return f"{done.published} events published on {subject} in {done.seconds:.1f} s, {per_second:.0f} a second; {kept}."
