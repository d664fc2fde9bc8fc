"""Reads conf/audit.yaml: what the audit takes for silent, fresh and good."""

from __future__ import annotations

from importlib import resources
from typing import Annotated

import msgspec

from data_manager.actors.audit.health import HealthConf
from data_manager.storage.records import TIMEFRAMES, Series
from data_manager.system.errors import ConfigError
from data_manager.system.settings_sources import read_yaml

PACKAGED = "conf/audit.yaml"

Positive = Annotated[int, msgspec.Meta(gt=0)]


class SilenceConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a series of a type without history is silent."""

    after_s: dict[str, Positive]
    paces: Positive
    siblings: Positive


class QuietConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a symbol's feed is quiet."""

    after_s: Positive
    sample_s: Positive
    samples: Positive


class FundingConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a funding rate must have settled."""

    grace_s: Positive


class AuditConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    health: HealthConf
    interval_s: dict[str, Positive]
    silence: SilenceConf
    quiet: QuietConf
    funding: FundingConf
    clock_jump_s: Positive
    start_hours: Positive

    def interval_of(self, series: Series) -> int | None:
        """Seconds between two of its rows; None for a type without a schedule."""
        if series.timeframe is not None:
            return TIMEFRAMES[series.timeframe] // 1000
        return self.interval_s.get(series.record.dataset)


def audit_conf() -> AuditConf:
    """The packaged file; raises ConfigError with what is wrong with it."""
    return parse(read_yaml(resources.files("data_manager") / PACKAGED))


def parse(content: dict[str, object]) -> AuditConf:
    """The file's content, all scalars as text; raises ConfigError with what is wrong and where."""
    try:
        return msgspec.convert(content, AuditConf, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{PACKAGED}: {error}; put the packaged file back") from error
