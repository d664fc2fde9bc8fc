"""Variance of a bar from its open, high, low and close. Pure; variances of log price per bar, never annualised.

Each function takes the bars it averages over; none may be `Bars.invalid`. The first three are 0 when every bar has
H = L.
"""

from __future__ import annotations

import numpy as np

from data_manager.actors.analytics.bars import Bars


def parkinson(bars: Bars) -> float:
    """mean(ln(H/L)^2) / (4 ln 2). Parkinson 1980, J. Business 53(1):61-65."""
    return float(np.mean(np.log(bars.high / bars.low) ** 2) / (4 * np.log(2)))


def garman_klass(bars: Bars) -> float:
    """mean(ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2). Garman & Klass 1980, J. Business 53(1):67-78."""
    spread = np.log(bars.high / bars.low)
    body = np.log(bars.close / bars.open)
    return float(np.mean(0.5 * spread**2 - (2 * np.log(2) - 1) * body**2))


def rogers_satchell(bars: Bars) -> float:
    """mean(ln(H/C) ln(H/O) + ln(L/C) ln(L/O)). Rogers & Satchell 1991, Ann. Appl. Probab. 1(4):504-512."""
    above = np.log(bars.high / bars.close) * np.log(bars.high / bars.open)
    below = np.log(bars.low / bars.close) * np.log(bars.low / bars.open)
    return float(np.mean(above + below))


def yang_zhang(bars: Bars) -> float:
    """Var(ln(O/C')) + k Var(ln(C/O)) + (1 - k) RS, k = 0.34 / (1.34 + (n + 1) / (n - 1)), C' the close before.

    Over the n bars whose predecessor is among `bars`; n must be at least 2. Sample variances. The jump between bars
    counts here, so H = L alone does not make it 0. Yang & Zhang 2000, J. Business 73(3):477-491.
    """
    pairs = bars.adjacent
    jumps = np.log(bars.open[pairs] / bars.close[np.flatnonzero(pairs) - 1])
    bodies = np.log(bars.close[pairs] / bars.open[pairs])
    n = len(jumps)
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    inside = rogers_satchell(_chosen(bars, pairs))
    return float(np.var(jumps, ddof=1) + k * np.var(bodies, ddof=1) + (1 - k) * inside)


def _chosen(bars: Bars, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Bars:
    return Bars(bars.interval_ms, *(getattr(bars, name)[mask] for name in bars.__struct_fields__[1:]))
