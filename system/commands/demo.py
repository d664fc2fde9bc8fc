"""`data-manager demo`: everything on this machine, on simulated data."""

from __future__ import annotations

from typing import Annotated

import typer

from data_manager.system.commands.options import (
    ApiPort,
    Assign,
    ConfigFile,
    DataDir,
    LogLevel,
    MetricsPort,
    load_settings,
    require_linux,
)


def demo(
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=1, help="End by itself once the exchange has run this long."),
    ] = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    api_port: ApiPort = None,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
) -> None:
    """Run everything here: an embedded broker, SQLite stores, and a simulated exchange that publishes.

    Its feed fails for a few seconds every so often, so that one sees what is missing found, fetched and proven whole.

    Ends on Ctrl-C, or after `--for` seconds, with a summary. Exit code 0 only if the counts reconcile: every event
    that was published was received, and every one received has exactly one outcome; 1 if they do not, and the
    codes of `run` otherwise.
    """
    require_linux("demo")
    from data_manager.system.demo import OF_ITS_OWN, Demo
    from data_manager.system.settings_sources import DEFAULT, PACKAGED

    loaded = load_settings(
        config_file,
        assign,
        api_port=api_port,
        metrics_port=metrics_port,
        data_dir=data_dir,
        log_level=log_level,
        nats_url="embedded",
        exchange_enabled="true",
    )
    unset = {name: value for name, value in OF_ITS_OWN.items() if loaded.origins[name] in (DEFAULT, PACKAGED)}
    raise typer.Exit(Demo(loaded.settings.model_copy(update=unset), seconds).run())
