"""Three classical scores of how far a value lies from the others, in deviations. Pure.

The values are standardised returns; each is judged by values before it only, so none hides itself. NaN is ordinary.
"""

from __future__ import annotations

import numpy as np

from data_manager.actors.analytics.bars import Floats
from data_manager.actors.analytics.rolling import deviations, means


def zscore(training: Floats, judged: Floats) -> Floats:
    """|x - mean| / SD, of the training values, which vary."""
    return np.asarray(np.abs(judged - np.mean(training)) / np.std(training, ddof=1))


def mad(training: Floats, judged: Floats) -> Floats:
    """|0.6745 (x - median) / MAD|: outliers in training do not widen it. Iglewicz & Hoaglin 1993.

    NaN throughout where more than half of the training values are equal, so that the MAD is 0.
    """
    median = np.median(training)
    spread = np.median(np.abs(training - median))
    if spread == 0:
        return np.full(len(judged), np.nan)
    return np.asarray(np.abs(0.6745 * (judged - median) / spread))


def moving_avg(training: Floats, judged: Floats, length: int) -> Floats:
    """|x - mean| / SD of the `length` values just before each; the newest of training are the first of these."""
    values = np.concatenate((training[-length:], judged))
    average = means(values, length)[length - 1 : -1]
    spread = deviations(values, length)[length - 1 : -1]
    return np.asarray(np.divide(np.abs(judged - average), spread, out=np.full(len(judged), np.nan), where=spread > 0))
