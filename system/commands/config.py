"""`data-manager config`: every setting with its value and where it came from."""

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
)


def config(
    config_file: ConfigFile = None,
    assign: Assign = None,
    api_port: ApiPort = None,
    metrics_port: MetricsPort = None,
    data_dir: DataDir = None,
    nats: NatsUrl = None,
    log_level: LogLevel = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Print every setting and its origin, and the stores that follow from them.

    The flags are those of the commands that run the system, so this shows what they would run with.
    Secrets are hidden; what was set in vain is named on stderr.
    """
    import orjson

    from data_manager.storage.choice import described

    loaded = load_settings(
        config_file,
        assign,
        api_port=api_port,
        metrics_port=metrics_port,
        data_dir=data_dir,
        nats_url=nats,
        log_level=log_level,
    )
    shown = loaded.settings.shown()
    if as_json:
        report = {
            "settings": {name: {"value": shown[name], "origin": loaded.origins[name]} for name in shown},
            "stores": described(loaded.settings),
            "warnings": loaded.warnings,
            "without_effect": loaded.without_effect,
        }
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(table([(name.upper(), cell(value), loaded.origins[name]) for name, value in shown.items()]))
    for store, place in described(loaded.settings).items():
        typer.echo(f"{store.replace('_', ' ')}: {place}")
    for line in loaded.warnings:
        typer.echo(f"warning: {line}", err=True)
    for line in loaded.without_effect:
        typer.echo(f"without effect: {line}", err=True)


def cell(value: object) -> str:
    """A value as it would be written in the environment; `-` for none, and for nothing."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def table(rows: list[tuple[str, str, str]]) -> str:
    """Three columns, as wide as their widest entry, under a heading."""
    rows = [("SETTING", "VALUE", "ORIGIN"), *rows]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:<{first}}  {value:<{second}}  {origin}" for name, value, origin in rows)
