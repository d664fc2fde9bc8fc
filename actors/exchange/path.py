"""The price path: midpoint displacement on the log price, with volatility that cascades down the same tree.

Time is cut into blocks of 2**15 minutes (22.8 days). The log price at a block's ends is drawn independently
around the base price, wide enough for the step between them to be that of a random walk; inside, every
midpoint is the mean of its neighbours plus a normal of the Brownian bridge's width. So any minute of any year
costs 15 steps, and the price never drifts away. Each step also hands both halves a log-normal share of the
volatility (Mandelbrot, Calvet & Fisher 1997), which gives clustering and heavy tails.
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec

from data_manager.actors.exchange.noise import NORMAL, Noise, Stream, log_normals

BLOCK_LEVELS = 15
STRETCH_LEVELS = 6
STRETCH = 1 << STRETCH_LEVELS  # minutes that are computed together
MINUTES_A_DAY = 1440

_SHARE = log_normals(0.15)  # of volatility: what one level adds to the sigma of its log is 0.15
_CACHED = 64  # stretches per symbol: two days and a half, about 300 kB


class Stretch(msgspec.Struct, frozen=True):
    """STRETCH minutes: log offsets from the base price at their boundaries, and the volatility of each."""

    offsets: tuple[float, ...]
    volatility: tuple[float, ...]  # relative to the instrument's sigma


class PricePath:
    """The log price of one symbol, relative to its base price."""

    def __init__(self, noise: Noise, sigma: float) -> None:
        self._noise = noise
        self._sigma = sigma
        self.stretch = lru_cache(maxsize=_CACHED)(self._stretch)

    def minute(self, minute: int) -> tuple[float, float, float]:
        """Log offset at the start and at the end of a minute since 1970, and the minute's volatility."""
        index, at = divmod(minute, STRETCH)
        stretch = self.stretch(index)
        return stretch.offsets[at], stretch.offsets[at + 1], stretch.volatility[at]

    def _stretch(self, index: int) -> Stretch:
        levels = BLOCK_LEVELS - STRETCH_LEVELS
        block, within = divmod(index, 1 << levels)
        ends = (self._anchor(block), self._anchor(block + 1))
        volatility, node = 1.0, 1
        for level in range(levels):
            span = 1 << (BLOCK_LEVELS - level)
            middle, shares = self._split(block, node, ends, volatility * self._sigma, span)
            right = within >> (levels - level - 1) & 1
            ends = (middle, ends[1]) if right else (ends[0], middle)
            volatility *= shares[right]
            node = 2 * node + right
        return self._fill(block, node, ends, volatility * day_cycle(index * STRETCH))

    def _fill(self, block: int, node: int, ends: tuple[float, float], volatility: float) -> Stretch:
        """All minutes under one node, level by level."""
        offsets, volatilities = list(ends), [volatility]
        for level in range(STRETCH_LEVELS):
            span = STRETCH >> level
            finer, halves = [offsets[0]], list[float]()
            for i, parent in enumerate(volatilities):
                pair = offsets[i], offsets[i + 1]
                middle, shares = self._split(block, (node << level) + i, pair, parent * self._sigma, span)
                finer += (middle, pair[1])
                halves += (parent * shares[0], parent * shares[1])
            offsets, volatilities = finer, halves
        return Stretch(tuple(offsets), tuple(volatilities))

    def _split(
        self, block: int, node: int, ends: tuple[float, float], sigma: float, span: int
    ) -> tuple[float, tuple[float, float]]:
        """The midpoint of a span of minutes, and the share of the volatility that each half gets."""
        draws = self._noise.draws(Stream.PATH, (block << BLOCK_LEVELS) + node, 3)
        middle = bridge(ends, sigma * math.sqrt(span), draws[0])
        return middle, (_SHARE[draws[1]], _SHARE[draws[2]])

    def _anchor(self, block: int) -> float:
        step = self._sigma * math.sqrt(1 << BLOCK_LEVELS)
        return step / math.sqrt(2) * self._noise.normal(Stream.ANCHOR, block)


def bridge(ends: tuple[float, float], sigma: float, draw: int) -> float:
    """The middle of a Brownian bridge whose whole step has the standard deviation `sigma`."""
    return (ends[0] + ends[1]) / 2 + sigma / 2 * NORMAL[draw]


def day_cycle(minute: int) -> float:
    """How lively this time of the day is: 1 on average, most at 15:00 UTC, least at 03:00."""
    return 1 + 0.4 * math.cos(2 * math.pi * (minute / MINUTES_A_DAY - 0.625))
