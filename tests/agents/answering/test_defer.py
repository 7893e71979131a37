"""Deferrals against scikit-learn and slow references; thresholds, coverage and the oracle."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.linear_model import LinearRegression, Ridge

from agents.answering.answers import Answers
from agents.answering.defer import (
    DEFERRALS,
    Confidence,
    Deferral,
    Learned,
    calibrate,
    fit_deferral,
    oracle,
)
from agents.answering.logistic import softmax
from protocols.errors import ConfigurationError
from protocols.spec import Kinds

A, B = "a" * 16, "b" * 16


def pair(split: str, n: int, seed: int, classes: int = 6):
    """A small agent that mixes up the last three classes, and a next one that knows those alone."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    small, large = rng.standard_normal((2, n, classes))
    rows = np.arange(n)
    small[rows, truth] += np.where(truth < 3, 1.5, 0.5)
    mixed = np.flatnonzero((truth >= 3) & (rng.random(n) < 0.6))
    small[mixed, 3 + (truth[mixed] - 2) % 3] += 3.5
    large[rows, truth] += np.where(truth < 3, 0.7, 3.5)
    no, ids = np.zeros(n, bool), rng.permutation(10**6)[:n].astype(np.int64)
    this, following = (
        Answers(split, ids, softmax(scores), no, no, (origin,))
        for scores, origin in ((small, A), (large, B))
    )
    return this, following, truth


FIT = pair("fit", 400, 0)
CALIBRATE = pair("calibrate", 300, 1)
TEST = pair("test", 4000, 2)


def test_learned_is_the_ridge_regression_of_scikit_learn_beside_doubt():
    this, following, labels = FIT
    scorer = fit_deferral(Learned(l2=7.0), this, following, labels)
    doubt = 1 - this.probabilities.max(axis=1)
    spread = this.probabilities.std(axis=0)
    right = [
        (found.probabilities.argmax(axis=1) == labels).astype(float) for found in (this, following)
    ]
    # Frisch, Waugh and Lovell: take what doubt explains out of both sides, then penalise the rest.
    free = LinearRegression().fit(
        doubt[:, None], np.column_stack([right[1] - right[0], this.probabilities])
    )
    rest = np.column_stack([right[1] - right[0], this.probabilities]) - free.predict(doubt[:, None])
    ridge = Ridge(alpha=7.0, fit_intercept=False).fit(rest[:, 1:] / spread, rest[:, 0])
    new, new_doubt = TEST[0].probabilities, 1 - TEST[0].probabilities.max(axis=1)
    explained = free.predict(new_doubt[:, None])
    expected = explained[:, 0] + (new - explained[:, 1:]) / spread @ ridge.coef_
    np.testing.assert_allclose(scorer.scores(TEST[0]), expected, atol=1e-8)


def test_learned_with_a_large_penalty_scores_by_doubt_alone():
    scores = fit_deferral(Learned(l2=1e6), *FIT).scores(TEST[0])
    doubt = 1 - TEST[0].probabilities.max(axis=1)
    # The sign follows the data: this small agent is most confident where it is wrong.
    assert abs(np.corrcoef(scores, doubt)[0, 1]) > 0.999


def accuracy(deferred) -> float:
    this, following, labels = TEST
    return float(np.where(deferred, following.right(labels), this.right(labels)).mean())


def test_learned_beats_confidence_where_the_next_agent_is_a_specialist():
    this, following, labels = FIT
    found = {}
    for kind in ("learned", "confidence", "random"):
        scorer = fit_deferral(DEFERRALS[kind](), this, following, labels)
        rule = calibrate(scorer, CALIBRATE[0], CALIBRATE[2], 0.3)
        found[kind] = accuracy(rule.defers(TEST[0]))
    best = accuracy(oracle(*TEST, 0.3))
    assert best > found["learned"] > found["confidence"] + 0.1
    assert found["learned"] > found["random"] + 0.1


def test_learned_stays_where_no_gain_is_expected_though_the_budget_allows():
    this, following, labels = FIT
    rule = calibrate(fit_deferral(Learned(), this, following, labels), *CALIBRATE[::2], 1.0)
    deferred = rule.defers(TEST[0])
    assert rule.threshold == 0.0
    assert 0.2 < deferred.mean() < 0.9
    assert accuracy(deferred) > accuracy(np.ones(4000, bool)) + 0.02


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.333, 0.5, 1.0])
def test_threshold_is_the_lowest_that_meets_the_budget(budget):
    scorer = fit_deferral(Confidence(), *FIT)
    this, _, labels = CALIBRATE
    rule = calibrate(scorer, this, labels, budget)
    doubt = 1 - this.probabilities.max(axis=1)
    fitting = [t for t in (-1.0, *doubt) if np.mean(doubt > t) <= budget]
    np.testing.assert_array_equal(rule.defers(this), doubt > min(fitting))
    assert rule.defers(this).sum() == math.floor(budget * 300)


def test_threshold_among_equal_scores_stays_within_the_budget():
    this, _, labels = CALIBRATE
    alike = Answers(
        "calibrate", this.ids, np.full((300, 6), 1 / 6), this.abstains, this.in_sample, (A,)
    )
    rule = calibrate(fit_deferral(Confidence(), *FIT), alike, labels, 0.5)
    assert not rule.defers(alike).any()


@pytest.mark.parametrize("kind", DEFERRALS)
def test_abstentions_are_passed_on_first(kind):
    this, _, labels = CALIBRATE
    silent = np.arange(300) % 10 == 0
    abstaining = Answers("calibrate", this.ids, this.probabilities, silent, this.in_sample, (A,))
    rule = calibrate(fit_deferral(DEFERRALS[kind](), *FIT), abstaining, labels, 0.15)
    assert rule.defers(abstaining)[silent].all()
    assert rule.defers(abstaining).mean() <= 0.15


def test_random_draws_the_same_for_a_text_in_any_batch():
    scorer = fit_deferral(DEFERRALS["random"](), *FIT, seed=3)
    other = fit_deferral(DEFERRALS["random"](), *FIT, seed=4)
    whole, part = TEST[0], slice(10, 30)
    few = Answers(
        "query", whole.ids[part], whole.probabilities[part], whole.abstains[part],
        whole.in_sample[part], (A,),
    )  # fmt: skip
    np.testing.assert_array_equal(scorer.scores(few), scorer.scores(whole)[part])
    assert np.abs(other.scores(few) - scorer.scores(few)).max() > 0.1
    assert abs(scorer.scores(whole).mean() - 0.5) < 0.03


def test_oracle_passes_on_only_what_it_gains_by_within_the_budget():
    this, following, labels = TEST
    right, better = this.right(labels), following.right(labels)
    for budget in (0.0, 0.1, 1.0):
        chosen = oracle(this, following, labels, budget)
        assert chosen.sum() == min(math.floor(budget * 4000), (better & ~right).sum())
        assert (better & ~right)[chosen].all()


def test_oracle_is_no_kind_and_cannot_be_configured():
    assert "oracle" not in DEFERRALS
    with pytest.raises(ValidationError):
        TypeAdapter(Annotated[Deferral, Kinds(DEFERRALS)]).validate_python("oracle")
    assert not isinstance(oracle, type)


@pytest.mark.parametrize("budget", [-0.1, 1.1, float("nan")])
def test_budget_is_a_share(budget):
    with pytest.raises(ConfigurationError, match="not a share") as caught:
        calibrate(fit_deferral(Confidence(), *FIT), CALIBRATE[0], CALIBRATE[2], budget)
    assert caught.value.hint
