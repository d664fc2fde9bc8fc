"""Models of usual bars: what they find, that they are deterministic, and how often they are wrong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from data_manager.actors.analytics.models import MODELS, exceeded

RANDOM = np.random.default_rng(1)
TRAINING = RANDOM.normal(size=(1000, 3))
PLAIN = RANDOM.normal(size=(50, 3)) * 0.5
STRANGE = np.array([[9.0, 9.0, 9.0]])

each_model = pytest.mark.parametrize("name", MODELS)


@each_model
def test_a_strange_row_is_above_all_of_the_training(name: str):
    scores = MODELS[name](TRAINING, np.concatenate((PLAIN, STRANGE)))
    assert scores.judged[-1] > exceeded(scores.training, 0.999)
    assert (scores.judged[:-1] <= exceeded(scores.training, 0.999)).all()


@each_model
def test_the_same_rows_have_the_same_scores(name: str):
    ours, again = (MODELS[name](TRAINING, PLAIN) for _ in range(2))
    np.testing.assert_array_equal(ours.judged, again.judged)
    np.testing.assert_array_equal(ours.training, again.training)
    assert (len(ours.training), len(ours.judged)) == (1000, 50)
    assert np.isfinite(ours.judged).all()


@each_model
def test_training_itself_is_scored_as_it_would_be_again(name: str):
    """So that a quantile of training scores says something about bars to come."""
    scores = MODELS[name](TRAINING, TRAINING)
    assert np.corrcoef(scores.training, scores.judged)[0, 1] > 0.99


def test_the_limit_is_a_score_of_the_training():
    scores = np.arange(1000.0)
    assert exceeded(scores, 0.999) == 999.0
    assert exceeded(np.arange(1001.0), 0.999) == 999.0
    assert exceeded(scores, 0.99) == 990.0
    assert exceeded(np.arange(10.0), 0.999) == 9.0


def test_no_model_is_imported_before_it_is_used():
    code = (
        "import sys, data_manager.actors.analytics.conf\n"
        "print(*sorted({'pandas', 'pyod', 'sklearn'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
