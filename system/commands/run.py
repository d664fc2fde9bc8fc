"""`data-manager run`: the production entry."""

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
    NatsUrl,
    load_settings,
    require_linux,
)


def run(
    feed: Annotated[bool, typer.Option("--feed", help="Publish the exchange's live streams, too.")] = False,
    config_file: ConfigFile = None,
    assign: Assign = None,
    api_port: ApiPort = None,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
    nats: NatsUrl = None,
    log_level: LogLevel = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C; logs are JSON lines on stdout.

    Exit codes: 0 stopped in order, 2 a setting, port or folder is wrong, 70 the actor system died, 71 the supervisor
    died, 72 the embedded broker died, 75 a part cannot be kept running, 76 a part had to be killed while stopping,
    130 forced.
    """
    require_linux("run")
    from data_manager.system.lifecycle import Service, serve
    from data_manager.system.logs import configure

    loaded = load_settings(
        config_file,
        assign,
        api_port=api_port,
        metrics_port=metrics_port,
        data_dir=data_dir,
        nats_url=nats,
        log_level=log_level,
        feed_enabled="true" if feed else None,
    )
    configure("main", loaded.settings.log_level)
    loaded.report()
    raise typer.Exit(serve(Service(loaded.settings)))
