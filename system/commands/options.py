"""The flags that every command with settings takes, and how they become settings.

A command repeats these types in its signature and hands what it got to `load_settings`:

    def run(config: ConfigFile = None, assign: Assign = None, api_port: ApiPort = None) -> None:
        loaded = load_settings(config, assign, api_port=api_port)

All values are text here: settings are checked in one place, with one kind of sentence, whatever their source.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_manager.system.errors import ConfigError

if TYPE_CHECKING:
    from data_manager.system.settings_sources import Loaded

IMAGE = "yurisa2/petrosa-data-manager"
EXIT_CODES = "Exit codes: 0 good, 1 a problem was found, 2 usage or settings, 3 something is unreachable."

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML file of settings, instead of the packaged one."),
]
Assign = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting by its name; may be repeated."),
]
ApiPort = Annotated[str | None, typer.Option("--api-port", metavar="PORT", help="Port of API and dashboard.")]
MetricsPort = Annotated[str | None, typer.Option("--metrics-port", metavar="PORT", help="Port of /metrics.")]
DataDir = Annotated[str | None, typer.Option("--data-dir", metavar="FOLDER", help="Where all data is stored.")]
NatsUrl = Annotated[
    str | None, typer.Option("--nats", metavar="URL", help="NATS server, or `embedded` to start one here.")
]
LogLevel = Annotated[str | None, typer.Option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")]


def load_settings(config: Path | None, assign: list[str] | None, **flags: str | None) -> Loaded:
    """The settings a command runs with; `flags` are named like settings and go before `--set`.

    Raises ConfigError.
    """
    from data_manager.storage.choice import check_choice
    from data_manager.system.settings_sources import load

    given = {name: value for name, value in flags.items() if value is not None}
    loaded = load(parse_assignments(assign or []) | given, os.environ, config)
    return loaded._replace(warnings=[*loaded.warnings, *check_choice(loaded.settings)])


def parse_assignments(assign: list[str]) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping by lower-case name, the last of each name; raises ConfigError."""
    wrong = [text for text in assign if "=" not in text]
    if wrong:
        raise ConfigError("\n".join(f"--set {text}: write it as NAME=VALUE." for text in wrong))
    return {name.strip().lower(): value for name, value in (text.split("=", 1) for text in assign)}


def require_linux(command: str, platform: str = sys.platform) -> None:
    """Raise ConfigError unless the system can run here: its supervision rests on Linux process control."""
    if platform != "linux":
        raise ConfigError(f"`data-manager {command}` needs Linux: run the container image {IMAGE} instead.")
