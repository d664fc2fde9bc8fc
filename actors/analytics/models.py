"""Four models of what a bar usually looks like, and scores of how unlike it a bar is. Pure and deterministic.

None is asked which share of its data is contaminated: it would find that share in clean data too. The callers
compare with the scores of the training itself. All four rank a value among those of the training, and none measures
how far beyond them it lies: what they find is a bar that is rare in several ways at once.

sklearn and pyod take seconds and 130 MiB to import, which only the models' own process does (apart.py): so here, in
functions, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import numpy as np

from data_manager.actors.analytics.bars import Floats

SEED = 42  # the original's


def load() -> None:
    """Import all that the models are made of.

    pyod has numba compile a few loops over some thousand values at their first call, which takes 6 s of CPU and
    100 MiB, and the interpreter with it: as they are written they take milliseconds.
    """
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    for module in ("sklearn.ensemble", "pyod.models.ecod", "pyod.models.copod", "pyod.models.hbos"):
        import_module(module)


class Scores(NamedTuple):
    """The greater, the less usual; one for each row."""

    training: Floats
    judged: Floats


Model = Callable[[Floats, Floats], Scores]


def isolation_forest(training: Floats, judged: Floats) -> Scores:
    """How few random cuts set a row apart. Liu, Ting & Zhou 2008, ICDM:413-422; 100 trees, as the original's."""
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(n_estimators=100, random_state=SEED).fit(training)
    return Scores(-model.score_samples(training), -model.score_samples(judged))


def ecod(training: Floats, judged: Floats) -> Scores:
    """How small the empirical tail probabilities of a row's values are. Li et al. 2022, IEEE TKDE 35(12).

    The judged rows take part in the empirical distribution, so give few against many.
    """
    from pyod.models.ecod import ECOD

    model = ECOD().fit(training)
    return Scores(np.asarray(model.decision_scores_), np.asarray(model.decision_function(judged)))


def copod(training: Floats, judged: Floats) -> Scores:
    """The same by an empirical copula. Li et al. 2020, ICDM:1118-1123."""
    from pyod.models.copod import COPOD

    model = COPOD().fit(training)
    return Scores(np.asarray(model.decision_scores_), np.asarray(model.decision_function(judged)))


def hbos(training: Floats, judged: Floats) -> Scores:
    """How low the histograms are at a row's values. Goldstein & Dengel 2012, KI:59-63; ten bins."""
    from pyod.models.hbos import HBOS

    model = HBOS(n_bins=10).fit(training)
    return Scores(np.asarray(model.decision_scores_), np.asarray(model.decision_function(judged)))


MODELS: dict[str, Model] = {"isolation_forest": isolation_forest, "ecod": ecod, "copod": copod, "hbos": hbos}


def exceeded(scores: Floats, quantile: float) -> float:
    """The score that at least this share of the training does not exceed: one of its own, the next above.

    Of n scores k lie above it, and a further bar of the same kind lies above with probability (k + 1) / (n + 1).
    """
    return float(np.quantile(scores, quantile, method="higher"))
