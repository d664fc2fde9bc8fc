"""When the market store takes too much space, and how many bytes must go. Pure.

There are two troubles: the data takes more than its share of a quota, or the disk beneath it runs low. Each
begins at its limit and ends a little beyond it, so that it does not come and go with every batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from data_manager.system.settings import Settings

HYSTERESIS = 0.05  # of the limit: by so much must it be undercut for the trouble to end
MIB = 2**20


class Shortage(StrEnum):
    """Which space is short; the kinds of the incidents."""

    QUOTA = "store_quota"
    DISK = "disk_low"


class Space(NamedTuple):
    """What the market store takes, and what its disk has left where it can tell."""

    data_bytes: int
    free_bytes: int | None


class Limits(NamedTuple):
    """The data may take `data_bytes`, the disk must have `free_bytes` left; 0: no limit."""

    data_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """What the settings say."""
        return cls(settings.market_quota_mb * MIB * settings.shed_at_percent // 100, settings.disk_low_mb * MIB)


def shortages(space: Space, limits: Limits, before: Collection[Shortage]) -> Mapping[Shortage, int]:
    """What is short now, and by how many bytes until it ends; `before` was short at the last look."""
    short = {}
    if limits.data_bytes:
        end = int(limits.data_bytes * (1 - HYSTERESIS))
        if space.data_bytes > (end if Shortage.QUOTA in before else limits.data_bytes):
            short[Shortage.QUOTA] = space.data_bytes - end
    if space.free_bytes is not None:
        end = int(limits.free_bytes * (1 + HYSTERESIS))
        if space.free_bytes < (end if Shortage.DISK in before else limits.free_bytes):
            short[Shortage.DISK] = end - space.free_bytes
    return short
