"""The price path: midpoint displacement on the log price, with volatility that cascades down the same tree.

Time is cut into blocks of 2**15 minutes (22.8 days). The log price at a block's ends is drawn independently
around the base price, wide enough for the step between them to be that of a random walk; inside, every
midpoint is the mean of its neighbours plus a normal of the Brownian bridge's width. So any stretch of any year
costs its own midpoints and the 7 above them, and the price never drifts away. Each step also hands both halves
a log-normal share of the volatility (Mandelbrot, Calvet & Fisher 1997), which gives clustering and heavy tails.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numpy as np

from data_manager.actors.exchange.noise import NORMAL, NORMALS, Floats, Noise, Stream, log_normals

BLOCK_LEVELS = 15
STRETCH_LEVELS = 8
STRETCH = 1 << STRETCH_LEVELS  # minutes that are computed together
MINUTES_A_DAY = 1440

_SHARE = log_normals(0.15)  # of volatility: what one level adds to the sigma of its log is 0.15
_SHARES: Floats = np.array(_SHARE)
_CYCLE = 64  # minutes over which the time of the day counts as the same

_Number = TypeVar("_Number", float, Floats)


class Stretch(NamedTuple):
    """STRETCH minutes: log offsets from the base price at their boundaries, and the volatility of each."""

    offsets: Floats
    volatility: Floats  # relative to the instrument's sigma


class PricePath:
    """The log price of one symbol, relative to its base price."""

    def __init__(self, noise: Noise, sigma: float) -> None:
        self._noise = noise
        self._sigma = sigma

    def stretch(self, index: int) -> Stretch:
        """The minutes from `index * STRETCH` since 1970 on."""
        levels = BLOCK_LEVELS - STRETCH_LEVELS
        block, within = divmod(index, 1 << levels)
        ends = (self._anchor(block), self._anchor(block + 1))
        volatility, node = 1.0, 1
        for level in range(levels):
            span = 1 << (BLOCK_LEVELS - level)
            draws = self._noise.draws(Stream.PATH, (block << BLOCK_LEVELS) + node, 3)
            middle = bridge(*ends, volatility * self._sigma * math.sqrt(span), NORMAL[draws[0]])
            right = within >> (levels - level - 1) & 1
            ends = (middle, ends[1]) if right else (ends[0], middle)
            volatility *= _SHARE[draws[1 + right]]
            node = 2 * node + right
        return self._fill(index, (block << BLOCK_LEVELS, node), ends, volatility)

    def _fill(self, index: int, place: tuple[int, int], ends: tuple[float, float], volatility: float) -> Stretch:
        """All minutes under one node of a block, level by level."""
        block, node = place
        offsets: Floats = np.array(ends)
        volatilities: Floats = np.array([volatility])
        for level in range(STRETCH_LEVELS):
            span = STRETCH >> level
            if span == _CYCLE:
                first = index * STRETCH
                volatilities = volatilities * [day_cycle(at) for at in range(first, first + STRETCH, span)]
            nodes = range(block + (node << level), block + (node + 1 << level))
            draws = self._noise.table(Stream.PATH, nodes, 3)
            sigmas = volatilities * self._sigma * math.sqrt(span)
            finer: Floats = np.empty(2 * len(nodes) + 1)
            finer[0::2] = offsets
            finer[1::2] = bridge(offsets[:-1], offsets[1:], sigmas, NORMALS[draws[:, 0]])
            offsets = finer
            volatilities = np.repeat(volatilities, 2) * _SHARES[draws[:, 1:]].ravel()
        return Stretch(offsets, volatilities)

    def _anchor(self, block: int) -> float:
        step = self._sigma * math.sqrt(1 << BLOCK_LEVELS)
        return step / math.sqrt(2) * self._noise.normal(Stream.ANCHOR, block)


def bridge(left: _Number, right: _Number, sigma: _Number, normal: _Number) -> _Number:
    """The middle of a Brownian bridge whose whole step has the standard deviation `sigma`."""
    return (left + right) / 2 + sigma / 2 * normal


def day_cycle(minute: int) -> float:
    """How lively this time of the day is: 1 on average, most at 15:00 UTC, least at 03:00."""
    return 1 + 0.4 * math.cos(2 * math.pi * (minute / MINUTES_A_DAY - 0.625))
