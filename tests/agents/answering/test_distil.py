"""Distillation: a head that is fitted to labels and to the probabilities of a society."""

from __future__ import annotations

import numpy as np
import pytest

from agents.answering import Answers, Examples
from agents.answering.distil import Distil
from agents.answering.logistic import softmax
from protocols.errors import ConfigurationError

CLASSES, KNOWN, ASKED, WIDTH = 3, 12, 200, 5
RNG = np.random.default_rng(0)
LABELS = np.arange(KNOWN + ASKED) % CLASSES
ROWS = 1.5 * RNG.normal(size=(CLASSES, WIDTH))[LABELS] + RNG.normal(size=(len(LABELS), WIDTH))
FIT = Examples("fit", np.arange(KNOWN), ROWS[:KNOWN])
POOL = Examples("query", np.arange(KNOWN, len(LABELS)), ROWS[KNOWN:])
NO = np.zeros(ASKED, bool)
SAID = softmax(3.0 * np.eye(CLASSES)[LABELS[KNOWN:]] + RNG.normal(size=(ASKED, CLASSES)))
ANSWERS = Answers("query", POOL.ids, SAID, NO, NO, ("a" * 16,))


def test_distilled_head_is_at_a_stationary_point_of_the_cross_entropy_to_labels_and_answers():
    adapt = Distil(l2=0.5)
    head = adapt.distilled(FIT, LABELS[:KNOWN], POOL, ANSWERS)
    rows = (ROWS - head.centre) * head.scale
    targets = np.vstack([np.eye(CLASSES)[LABELS[:KNOWN]], SAID])
    error = softmax(rows @ head.weight + head.bias) - targets
    np.testing.assert_allclose(rows.T @ error + 0.5 * head.weight, 0, atol=1e-3)
    np.testing.assert_allclose(error.sum(axis=0), 0, atol=1e-3)
    assert np.array_equal(head.seen, np.arange(len(LABELS)))
    assert head.fit_flops > 4.0 * rows.size * CLASSES


def test_distilled_head_answers_better_than_one_fitted_to_the_labels_alone():
    rng = np.random.default_rng(1)
    labels = np.arange(900) % CLASSES
    means = 1.5 * np.random.default_rng(0).normal(size=(CLASSES, WIDTH))
    new = Examples("test", 5000 + np.arange(900), means[labels] + rng.normal(size=(900, WIDTH)))
    adapt = Distil()
    alone = adapt.fit(FIT, LABELS[:KNOWN], CLASSES).answer(new, "a" * 16)
    taught = adapt.distilled(FIT, LABELS[:KNOWN], POOL, ANSWERS).answer(new, "a" * 16)
    assert taught.right(labels).mean() > alone.right(labels).mean()


def test_answers_to_other_or_to_labelled_texts_are_refused():
    shifted = Answers("query", POOL.ids + 1, SAID, NO, NO, ("a" * 16,))
    overlapping = Examples("query", np.arange(ASKED), POOL.embeddings)
    about_them = Answers("query", overlapping.ids, SAID, NO, NO, ("a" * 16,))
    for asked, answers in ((POOL, shifted), (overlapping, about_them)):
        with pytest.raises(ConfigurationError, match="cannot be distilled"):
            Distil().distilled(FIT, LABELS[:KNOWN], asked, answers)
    test = Examples("test", FIT.ids, FIT.embeddings)
    with pytest.raises(ConfigurationError, match="must not be fitted"):
        Distil().distilled(test, LABELS[:KNOWN], POOL, ANSWERS)
