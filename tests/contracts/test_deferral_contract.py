"""The contract of every deferral in the table: what it may see, learn from and spend."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from agents.answering import DEFERRALS, Answers, Deferral, calibrate, fit_deferral
from agents.answering.logistic import softmax
from agents.answering.scorers import DeferralRule, Scorer
from protocols.errors import ConfigurationError

A, B = "a" * 16, "b" * 16
CLASSES = 5
BY_LOT = {"random"}


@pytest.fixture(params=DEFERRALS)
def deferral(request) -> Deferral:
    return DEFERRALS[request.param]()


def pair(split: str, n: int, seed: int) -> tuple[Answers, Answers, np.ndarray]:
    """A small agent that is unsure where it errs, and a better one, with the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % CLASSES)
    hard = rng.random(n) < 0.5
    small, large = rng.standard_normal((2, n, CLASSES))
    small[np.arange(n), truth] += np.where(hard, 0.3, 5.0)
    large[np.arange(n), truth] += 4.0
    no, ids = np.zeros(n, bool), 10_000 * seed + np.arange(n)
    this, following = (
        Answers(split, ids, softmax(scores), no, no, (name,))
        for scores, name in ((small, A), (large, B))
    )
    return this, following, truth


FIT = pair("fit", 300, 1)
CALIBRATE = pair("calibrate", 300, 2)
TEST = pair("test", 3000, 3)


def rule_of(deferral: Deferral, budget: float = 0.3, fit=FIT) -> DeferralRule:
    return calibrate(fit_deferral(deferral, *fit), CALIBRATE[0], CALIBRATE[2], budget)


def accuracy(deferred: np.ndarray) -> float:
    this, following, labels = TEST
    return float(np.where(deferred, following.right(labels), this.right(labels)).mean())


def test_kind_is_the_key_in_the_table():
    for kind, cls in DEFERRALS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__
        assert cls.__doc__.splitlines()[0].endswith(".")


def test_specification_survives_json(deferral):
    assert type(deferral).model_validate_json(deferral.model_dump_json()) == deferral


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.3, 0.7])
def test_budget_is_met_where_it_is_calibrated_and_nearly_so_on_new_texts(deferral, budget):
    rule = rule_of(deferral, budget)
    assert rule.defers(CALIBRATE[0]).mean() <= budget
    # Four standard deviations of a share of 300 are 0.12.
    assert rule.defers(TEST[0]).mean() <= budget + 0.12


def test_larger_budget_passes_on_the_same_texts_and_more(deferral):
    small, large = (rule_of(deferral, budget).defers(TEST[0]) for budget in (0.1, 0.4))
    assert large[small].all()
    assert large.sum() > small.sum()


def test_deferral_gains_more_than_the_lot(deferral):
    lot = accuracy(rule_of(DEFERRALS["random"]()).defers(TEST[0]))
    gain = accuracy(rule_of(deferral).defers(TEST[0])) - lot
    assert (gain == 0) if deferral.kind in BY_LOT else (gain > 0.05)


def test_shuffled_next_agent_is_not_worth_asking(deferral):
    """The control: the next agent answers other texts. What is learnt about it must not promise a gain."""
    this, following, labels = FIT
    order = np.random.default_rng(0).permutation(300)
    strange = replace(following, probabilities=following.probabilities[order])
    rule, proper = rule_of(deferral, fit=(this, strange, labels)), rule_of(deferral)
    # Neither kind looks at the next agent; one that does must promise no gain here.
    np.testing.assert_array_equal(rule.defers(TEST[0]), proper.defers(TEST[0]))


def test_decision_sees_neither_label_nor_agent_nor_origin(deferral):
    rule, this = rule_of(deferral), TEST[0]
    expected = rule.defers(this)
    disguised = replace(this, origins=("f" * 16,), split="query", in_sample=~this.in_sample)
    np.testing.assert_array_equal(rule.defers(disguised), expected)
    if deferral.kind not in BY_LOT:
        np.testing.assert_array_equal(rule.defers(replace(this, ids=this.ids[::-1])), expected)


def test_only_answers_are_given_to_a_decision():
    for method in (DeferralRule.defers, Scorer.scores):
        assert list(inspect.signature(method).parameters) == ["self", "answers"]


def test_decision_about_a_text_does_not_depend_on_its_batch(deferral):
    rule, this = rule_of(deferral), TEST[0]
    few = Answers(
        this.split,
        this.ids[:7],
        this.probabilities[:7],
        this.abstains[:7],
        this.in_sample[:7],
        this.origins,
    )
    np.testing.assert_array_equal(rule.defers(few), rule.defers(this)[:7])


@pytest.mark.parametrize("split", ["calibrate", "test", "query"])
def test_nothing_is_fitted_to_other_splits(deferral, split):
    this, following, labels = FIT
    for pair_ in ((replace(this, split=split), following), (this, replace(following, split=split))):
        with pytest.raises(ConfigurationError, match=f"split '{split}'") as caught:
            fit_deferral(deferral, *pair_, labels)
        assert caught.value.hint


@pytest.mark.parametrize("split", ["fit", "test", "query"])
def test_no_threshold_is_set_on_other_splits(deferral, split):
    scorer, (this, _, labels) = fit_deferral(deferral, *FIT), CALIBRATE
    with pytest.raises(ConfigurationError, match=f"split '{split}'") as caught:
        calibrate(scorer, replace(this, split=split), labels, 0.3)
    assert caught.value.hint


def test_in_sample_answers_are_refused_everywhere(deferral):
    seen = np.arange(300) == 9
    this, following, labels = FIT
    for pair_ in (
        (replace(this, in_sample=seen), following),
        (this, replace(following, in_sample=seen)),
    ):
        with pytest.raises(ConfigurationError, match="fitted on"):
            fit_deferral(deferral, *pair_, labels)
    scorer = fit_deferral(deferral, *FIT)
    with pytest.raises(ConfigurationError, match="fitted on"):
        calibrate(scorer, replace(CALIBRATE[0], in_sample=seen), CALIBRATE[2], 0.3)


def test_flops_of_a_decision_are_counted(deferral):
    rule = rule_of(deferral)
    assert rule.flops == rule.scorer.flops(CLASSES) > 0
    assert rule.scorer.flops(2 * CLASSES) >= rule.flops
