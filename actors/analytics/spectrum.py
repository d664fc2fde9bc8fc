"""Cycles in returns, and whether there are any: the periodogram and Fisher's test. Pure; evenly spaced, no NaN."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from scipy import signal, special

from data_manager.actors.analytics.bars import Floats


class Cycle(msgspec.Struct, frozen=True):
    """A period that white noise would not show."""

    period_bars: float
    share: float  # of the variance, 0 to 1
    p_value: float


def periodogram(returns: Floats) -> tuple[Floats, Floats]:
    """Frequencies per bar, and the power at each, of returns less their mean.

    Without frequency 0, and without the highest where the number of returns is even: its power has one degree of
    freedom, not two. Schuster 1898, Terrestrial Magnetism 3(1):13-41.
    """
    frequencies, powers = signal.periodogram(returns, detrend="constant", scaling="spectrum")
    last = (len(returns) - 1) // 2
    return np.asarray(frequencies[1 : last + 1]), np.asarray(powers[1 : last + 1])


def fisher_p(share: float, ordinates: int) -> float:
    """How often the greatest of so many ordinates of white noise has at least that share of their sum.

    Fisher 1929, Proc. R. Soc. A 125:54-59: sum over j of (-1)^(j-1) C(m, j) (1 - j g)^(m-1), as long as j g < 1. The
    alternating terms cancel out of double precision where the first is large; the answer is 1 there to 8 digits.
    """
    terms = np.arange(1, min(ordinates, math.ceil(1 / share) - 1) + 1)
    if not len(terms):
        return 0.0
    ways = special.gammaln(ordinates + 1) - special.gammaln(terms + 1) - special.gammaln(ordinates - terms + 1)
    sizes = ways + (ordinates - 1) * np.log1p(-terms * share)
    if sizes[0] > math.log(20):
        return 1.0
    signs = np.where(terms % 2, 1.0, -1.0)
    return float(np.clip(np.sum(signs * np.exp(sizes)), 0.0, 1.0))


def cycles(returns: Floats, most: int, level: float) -> tuple[Cycle, ...]:
    """The strongest cycles, at most so many, that Fisher's test does not take for noise at that level.

    Each is tested among what is left when the stronger ones are taken out (Whittle 1952, Trabajos de Estadistica
    3:43-57); the first that fails ends the search. Returns must vary.
    """
    frequencies, powers = periodogram(returns)
    total = left = float(np.sum(powers))
    found: list[Cycle] = []
    for taken, at in enumerate(np.argsort(powers)[::-1][:most]):
        power = float(powers[at])
        p_value = fisher_p(min(power / left, 1.0), len(powers) - taken)
        if p_value > level:
            break
        found.append(Cycle(float(1 / frequencies[at]), power / total, p_value))
        left -= power
        if left <= 0:
            break
    return tuple(found)
