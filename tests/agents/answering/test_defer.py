"""Deferrals against slow references: thresholds, draws and the oracle."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from agents.answering.answers import Answers
from agents.answering.defer import (
    DEFERRALS,
    Confidence,
    Deferral,
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


@pytest.mark.parametrize("budget", [0.0, 1 / 300, 0.1, 0.333, 0.5, 299 / 300, 1.0])
def test_threshold_is_the_lowest_that_meets_the_budget(budget):
    scorer = fit_deferral(Confidence(), *FIT)
    this, _, labels = CALIBRATE
    rule = calibrate(scorer, this, labels, budget)
    doubt = 1 - this.probabilities.max(axis=1)
    fitting = [t for t in (-1.0, *doubt) if np.sum(doubt > t) <= budget * 300 + 1e-9]
    np.testing.assert_array_equal(rule.defers(this), doubt > min(fitting))
    assert rule.defers(this).sum() == math.floor(budget * 300 + 1e-9)


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
