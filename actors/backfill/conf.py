"""Reads conf/exchange.yaml: the exchange's routes, limits and streams, and what is fetched at first."""

from __future__ import annotations

from datetime import date
from importlib import resources
from typing import Annotated

import msgspec

from data_manager.actors.backfill.weights import Route
from data_manager.storage.records import TIMEFRAMES
from data_manager.system.errors import ConfigError
from data_manager.system.settings_sources import read_yaml

PACKAGED = "conf/exchange.yaml"

Positive = Annotated[int, msgspec.Meta(gt=0)]


class Routes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The addresses that are asked."""

    klines: Route
    agg_trades: Route
    funding_rates: Route
    depth: Route
    exchange_info: Route
    time: Route


class StreamClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Streams that may share a connection: its path, and the names without their symbols."""

    path: str
    names: tuple[str, ...]


class Streams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exchange's WebSocket: which streams, and how long a connection is good for.

    The name `depth` stands for `partial_depth` or `diff_depth`.
    """

    reconnect_hours: Annotated[float, msgspec.Meta(gt=0)]
    silence_seconds: Annotated[float, msgspec.Meta(gt=0)]
    max_names: Positive
    partial_depth: str
    diff_depth: str
    public: StreamClass
    market: StreamClass


class ExchangeConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; `source` and `as_of` say where its numbers come from and when they were true."""

    source: str
    as_of: date
    weight_a_minute: Positive
    funding_requests: Positive
    funding_seconds: Positive
    routes: Routes
    streams: Streams
    bootstrap: dict[str, Positive]  # timeframe -> days

    def __post_init__(self) -> None:
        if unknown := self.bootstrap.keys() - TIMEFRAMES.keys():
            raise ValueError(f"bootstrap names {', '.join(sorted(unknown))}, which is no timeframe")


def exchange_conf() -> ExchangeConf:
    """The packaged file; raises ConfigError with what is wrong with it."""
    content = read_yaml(resources.files("data_manager") / PACKAGED)
    return parse(content)


def parse(content: dict[str, object]) -> ExchangeConf:
    """The file's content, all scalars as text; raises ConfigError with what is wrong and where."""
    try:
        return msgspec.convert(content, ExchangeConf, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{PACKAGED}: {error}; put the packaged file back") from error
