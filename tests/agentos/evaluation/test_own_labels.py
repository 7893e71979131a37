"""Metrics of the agents' own classifiers, against scikit-learn and a slow calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from agentos.evaluation import HeldOut, OwnLabels
from agentos.evaluation.own_labels import calibration_error
from agents.models.text_encoder import FunctionEncoder, LabelScores
from protocols.errors import ConfigurationError

NAMES = ("c", "a", "b")  # not in order: a class is what its name says


class Classifier(FunctionEncoder):
    def label_scores(self, texts):
        odds = np.random.default_rng(3).dirichlet((0.4, 0.7, 1.0), len(texts))
        return LabelScores(NAMES, odds)


ENCODER = Classifier(lambda texts: np.zeros((len(texts), 2), np.float32))
HELDOUT = HeldOut(
    tuple(f"text {i}" for i in range(50)),
    tuple(np.random.default_rng(4).choice(["a", "b", "c"], 50).tolist()),
)


def slow_calibration_error(confidence, right, bins):
    """Go through the bins (k / bins <= confidence < (k + 1) / bins, 1 in the last) one by one."""
    total = 0.0
    for k in range(bins):
        inside = [
            i
            for i, value in enumerate(confidence)
            if k / bins <= value < (k + 1) / bins or (k == bins - 1 and value == 1.0)
        ]
        if inside:
            sure = sum(confidence[i] for i in inside) / len(inside)
            correct = sum(bool(right[i]) for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(sure - correct)
    return total


@pytest.mark.parametrize("bins", [2, 10, 15])
def test_metrics_are_those_of_scikit_learn_and_of_a_slow_calibration_error(bins):
    found = OwnLabels(bins=bins).evaluate(ENCODER, HELDOUT, seed=0)
    odds = ENCODER.label_scores(HELDOUT.texts).probabilities
    guess = [NAMES[k] for k in odds.argmax(axis=1)]
    truth = list(HELDOUT.labels)
    average = {"average": "macro", "zero_division": 0.0}
    right = [one == other for one, other in zip(guess, truth, strict=True)]
    assert 0 < sum(right) < len(right)
    assert found == pytest.approx(
        {
            "own_labels_accuracy": metrics.accuracy_score(truth, guess),
            "own_labels_macro_f1": metrics.f1_score(truth, guess, **average),
            "own_labels_macro_precision": metrics.precision_score(truth, guess, **average),
            "own_labels_macro_recall": metrics.recall_score(truth, guess, **average),
            "own_labels_calibration_error": slow_calibration_error(odds.max(axis=1), right, bins),
        }
    )


def test_calibration_error_of_the_sure_is_their_error():
    right = np.array([True, True, False, True])
    assert calibration_error(np.ones(4), right, 15) == 0.25
    assert calibration_error(np.array([0.5, 0.5, 0.5, 0.5]), right[1:3].repeat(2), 15) == 0.0


def test_encoder_without_a_classifier_is_refused():
    plain = FunctionEncoder(lambda texts: np.zeros((len(texts), 2), np.float32))
    with pytest.raises(ConfigurationError, match="needs a classifier, and the encoder has none"):
        OwnLabels().evaluate(plain, HELDOUT, seed=0)
