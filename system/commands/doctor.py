"""`data-manager doctor`: what is wrong, or will go wrong, with what the service runs on, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from data_manager.system.commands.options import ApiPort, Assign, ConfigFile, DataDir, MetricsPort, NatsUrl
from data_manager.system.commands.service import AsJson, Url
from data_manager.system.errors import ConfigError, DataManagerError

if TYPE_CHECKING:
    from data_manager.system.clock import Clock
    from data_manager.system.commands.checks.check import Check, Verdict
    from data_manager.system.settings import Settings
    from data_manager.system.settings_sources import Loaded

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "bright_black"}
LATER = "Looked at once the configuration is right."


def doctor(
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    api_port: ApiPort = None,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
    nats: NatsUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, host, ports, NATS, stores and the exchange; each finding with what to do about it.

    The flags are those of the commands that run the system. Nothing is changed, and the exchange is asked for its time
    once. May be used while the service runs. Exit codes: 0 all is well, but for warnings, 1 something is wrong,
    2 usage, 3 a server that is needed does not answer.
    """
    import sys

    import orjson

    from data_manager.system.cli import PROBLEM_FOUND, UNREACHABLE
    from data_manager.system.clock import SystemClock
    from data_manager.system.commands.checks.check import summed_up
    from data_manager.system.logs import configure

    configure("doctor", "CRITICAL", sys.stderr, human=True)  # what is worth telling is in the findings
    flags = {"api_port": api_port, "metrics_port": metrics_port, "data_dir": data_dir, "nats_url": nats}
    checks = []
    for check in looked_at(config_file, assign, flags, url, SystemClock()):
        checks.append(check)
        if not as_json:
            typer.echo(in_words(check))
    total = summed_up(checks)
    if as_json:
        counts = {str(verdict): number for verdict, number in total.counts.items()}
        report = {"checks": [check._asdict() for check in checks], "counts": counts}
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(counted(total.counts))
    if total.failed or total.unreachable:
        raise typer.Exit(PROBLEM_FOUND if total.failed else UNREACHABLE)


def looked_at(
    config: Path | None, assign: list[str] | None, flags: dict[str, str | None], url: str | None, clock: Clock
) -> Iterator[Check]:
    """Every check, as soon as it is made."""
    from data_manager.system.commands.checks.check import fail, skipped
    from data_manager.system.commands.options import load_settings

    try:
        loaded = load_settings(config, assign, **flags)
    except ConfigError as error:
        for sentence in str(error).splitlines():
            yield fail("configuration", sentence, "`data-manager config` shows every setting and where it came from")
        yield skipped("everything else", LATER)
        return
    yield configuration(loaded)
    yield from of_host(loaded.settings)
    yield from of_servers(loaded.settings, clock)
    if url is not None:
        yield of_service(url)


def configuration(loaded: Loaded) -> Check:
    """The settings, which are good; and what was set in vain."""
    from data_manager.system.commands.checks.check import ok, warn
    from data_manager.system.settings_sources import DEFAULT, PACKAGED

    own = sum(origin not in (DEFAULT, PACKAGED) for origin in loaded.origins.values())
    says = f"{len(loaded.origins)} settings, {own} of them yours"
    if loaded.warnings:
        return warn("configuration", f"{says}. {' '.join(loaded.warnings)}", "set it as it is meant, or unset it")
    return ok("configuration", f"{says}, {len(loaded.without_effect)} without effect.")


def of_host(settings: Settings) -> Iterator[Check]:
    """This host, its folder and its ports."""
    from data_manager.system.commands.checks import limits, memory, packages, place
    from data_manager.system.lifecycle import descendants_of

    running = place.running_pid(settings.data_dir)
    symbols = len(settings.supported_pairs)
    yield packages.packages()
    yield place.folder(settings.data_dir, running)
    yield from place.ports(settings, running)
    yield from limits.limits(symbols)
    taken = None if running is None else memory.taken_by([running, *descendants_of(running)])
    yield memory.judged(symbols, settings.ingest_memory_hard_mb, memory.measured(), taken)


def of_servers(settings: Settings, clock: Clock) -> Iterator[Check]:
    """The broker, the stores, the exchange and where telemetry goes."""
    from data_manager.system.commands.checks import broker, catalog, exchange, market_store, place, telemetry

    yield from broker.broker(settings, clock, place.running_pid(settings.data_dir))
    yield from market_store.market_store(settings, clock)
    yield from catalog.catalog(settings)
    yield from exchange.exchange(settings, clock)
    yield telemetry.telemetry(settings)


def of_service(url: str) -> Check:
    """The running service, where one is named."""
    from data_manager.system.commands.checks.check import away, by_sentence, ok, warn
    from data_manager.system.commands.service import Service
    from data_manager.system.commands.service_answers import Readiness, decode
    from data_manager.system.errors import ServiceAway

    try:
        ready = decode(Service(url).look("/health/readiness").body, Readiness)
    except ServiceAway as error:
        return away("service", str(error).rpartition(": ")[0] + ".", "data-manager run, or another --url")
    except DataManagerError as error:
        return by_sentence("service", str(error))
    if not ready.ready:
        return warn("service", f"{url} is not ready.", f"data-manager status --url {url}")
    return ok("service", f"{url} is ready.")


def in_words(check: Check) -> str:
    """One finding for people; in colours where there is a terminal."""
    verdict = typer.style(f"{check.verdict:<7}", fg=COLOURS[check.verdict])
    line = f"{verdict}  {check.name:<13}  {check.found}"
    return f"{line}\n{'':<24}fix: {check.fix}" if check.fix else line


def counted(counts: dict[Verdict, int]) -> str:
    """The last line."""
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
