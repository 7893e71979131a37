"""Fusions of answers against slow references; distinct origins, abstentions and missing agents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.answering.answers import Answers
from agents.answering.fuse import FUSIONS, distinct, fit_fusion
from agents.answering.logistic import softmax
from agents.answering.pool import LEAST_PROBABILITY, log_odds
from agents.answering.stacking import Stacking
from agents.exchange.anchors.label_fusion import FUSIONS as LABEL_FUSIONS
from agents.exchange.anchors.label_fusion import Mean, Votes
from protocols.errors import ConfigurationError

A, B, C = (letter * 16 for letter in "abc")


def votes(n: int, seed: int, agents: int = 3, classes: int = 4):
    """Votes of agents that know some classes well and others little, and the classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    truth[:classes] = np.arange(classes)
    scores = rng.standard_normal((agents, n, classes))
    for agent in range(agents):
        scores[agent, np.arange(n), truth] += np.where(truth % agents == agent, 3.0, 0.6)
    return softmax(scores), truth


def said(rows, origin, split="fit", abstains=None) -> Answers:
    no = np.zeros(len(rows), bool)
    ids = np.arange(len(rows)) + (0 if split == "fit" else 10_000)
    return Answers(split, ids, rows, no if abstains is None else abstains, no, (origin,))


def all_said(rows, split="fit", origins=(A, B, C)) -> list[Answers]:
    return [said(row, origin, split) for row, origin in zip(rows, origins, strict=True)]


FIT, FIT_LABELS = votes(150, seed=0)
NEW, NEW_LABELS = votes(80, seed=1)


@pytest.mark.parametrize("kind", LABEL_FUSIONS)
def test_label_fusion_is_that_of_the_exchange_beside_the_labelled_votes(kind):
    fused = fit_fusion(FUSIONS[kind](), all_said(FIT), FIT_LABELS).fuse(all_said(NEW, "query"))
    joined = torch.from_numpy(np.concatenate([FIT, NEW], axis=1))
    classes = torch.from_numpy(np.concatenate([FIT_LABELS, NEW_LABELS * 0]))
    asked = Votes(joined, torch.ones(3, dtype=torch.float64), classes, torch.arange(150))
    expected = LABEL_FUSIONS[kind]().fuse(asked)[150:]
    np.testing.assert_allclose(fused.probabilities, expected, rtol=1e-6)


def test_stacking_is_at_a_stationary_point_of_its_loss():
    pool = Stacking(l2=3.0).fit(FIT, FIT_LABELS)
    logs = np.log(np.maximum(FIT, LEAST_PROBABILITY))
    logs -= logs.mean(axis=2, keepdims=True)
    features = np.hstack([log - log.mean(axis=0) for log in logs])
    scores = logs.mean(axis=0) + features @ pool.weight + pool.bias
    errors = softmax(scores) - np.eye(4)[FIT_LABELS]
    np.testing.assert_allclose(features.T @ errors + 3.0 * pool.weight, 0, atol=1e-4)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(pool.pool(FIT, np.ones(3, bool)), softmax(scores), rtol=1e-9)


def test_stacking_with_a_large_penalty_is_a_geometric_mean_with_a_bias():
    pool = Stacking(l2=1e6).fit(FIT, FIT_LABELS)
    assert np.abs(pool.weight).max() < 1e-3
    found = pool.pool(NEW, np.ones(3, bool))
    expected = softmax(log_odds(NEW).mean(axis=0) + pool.bias)
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("kind", ["stacking", "validation_weighted"])
def test_fusion_fitted_to_few_labels_is_as_good_as_its_best_agent(kind):
    fitted = fit_fusion(FUSIONS[kind](), all_said(FIT), FIT_LABELS)
    accuracy = fitted.fuse(all_said(NEW, "query")).right(NEW_LABELS).mean()
    best = max((row.argmax(axis=1) == NEW_LABELS).mean() for row in NEW)
    assert accuracy > best


@pytest.mark.parametrize("kind", FUSIONS)
def test_copies_of_a_source_count_once(kind):
    once = fit_fusion(FUSIONS[kind](), all_said(FIT), FIT_LABELS)
    copied_fit = [*all_said(FIT), said(FIT[2], C), said(FIT[2], C)]
    copied = fit_fusion(FUSIONS[kind](), copied_fit, FIT_LABELS)
    new = all_said(NEW, "query")
    copied_new = [*new, said(NEW[2], C, "query"), said(NEW[2], C, "query")]
    expected = once.fuse(new)
    found = copied.fuse(copied_new)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-9)
    assert found.origins == expected.origins == (A, B, C)


def test_three_copies_of_a_bad_source_would_win_a_vote_that_counted_them():
    # The control of the test above: under names of their own, the copies do harm.
    rng = np.random.default_rng(5)
    good = [np.where(rng.random(400) < 0.7, 0, rng.integers(1, 4, 400)) for _ in range(2)]
    bad = np.where(rng.random(400) < 0.35, 0, rng.integers(1, 4, 400))
    rows = np.eye(4)[np.stack([*good, bad, bad, bad])] * 0.8 + 0.05
    labels = np.zeros(400, np.int64)
    named_alike = all_said(rows, origins=(A, B, C, C, C))
    named_apart = all_said(rows, origins=(A, B, C, "d" * 16, "e" * 16))
    alike, apart = (
        fit_fusion(Mean(), group, labels).fuse(group).right(labels).mean()
        for group in (named_alike, named_apart)
    )
    without = fit_fusion(Mean(), named_alike[:3], labels).fuse(named_alike[:3]).right(labels).mean()
    assert alike == without
    assert apart < alike - 0.1


def test_copies_are_averaged_where_they_do_not_abstain():
    first = said(NEW[0], A, "query", abstains=np.arange(80) % 2 == 0)
    second = said(NEW[1], A, "query", abstains=np.arange(80) % 4 == 0)
    ((rows, speaks),) = distinct([first, second]).values()
    np.testing.assert_array_equal(speaks, np.arange(80) % 4 != 0)
    for i in range(80):
        kept = [NEW[a, i] for a, found in enumerate((first, second)) if not found.abstains[i]]
        if kept:
            np.testing.assert_allclose(rows[i], np.mean(kept, axis=0))


def test_overlapping_origins_are_refused():
    mixed = Answers("fit", np.arange(150), FIT[1], FIT[1][:, 0] > 2, FIT[1][:, 0] > 2, (A, B))
    with pytest.raises(ConfigurationError, match="count twice") as caught:
        fit_fusion(Mean(), [said(FIT[0], A), mixed], FIT_LABELS)
    assert caught.value.hint


def test_strangers_and_other_texts_are_refused():
    fitted = fit_fusion(Mean(), all_said(FIT), FIT_LABELS)
    with pytest.raises(ConfigurationError, match="not fitted to") as caught:
        fitted.fuse([*all_said(NEW, "query"), said(NEW[0], "d" * 16, "query")])
    assert caught.value.hint
    with pytest.raises(ConfigurationError, match="different texts"):
        fitted.fuse([said(NEW[0], A, "query"), said(NEW[1, :5], B, "query")])
    with pytest.raises(ConfigurationError, match="different texts"):
        fitted.fuse([])


@pytest.mark.parametrize("kind", FUSIONS)
def test_missing_agent_is_as_one_that_abstains(kind):
    fitted = fit_fusion(FUSIONS[kind](), all_said(FIT), FIT_LABELS)
    silent = said(NEW[1], B, "query", abstains=np.ones(80, bool))
    here = [said(NEW[0], A, "query"), said(NEW[2], C, "query")]
    np.testing.assert_array_equal(
        fitted.fuse([here[0], silent, here[1]]).probabilities, fitted.fuse(here).probabilities
    )


def test_text_on_which_all_abstain_is_an_abstention():
    silent_at = np.arange(80) == 3
    silent = [said(NEW[a], origin, "query", silent_at) for a, origin in enumerate((A, B, C))]
    fused = fit_fusion(Mean(), all_said(FIT), FIT_LABELS).fuse(silent)
    np.testing.assert_array_equal(fused.abstains, silent_at)
    np.testing.assert_array_equal(fused.probabilities[3], [0.25] * 4)


def test_trained_fusion_is_a_label_fusion_of_audit_anchors():
    audit = torch.arange(0, 150, 2)
    asked = Votes(
        torch.from_numpy(FIT),
        torch.ones(3, dtype=torch.float64),
        torch.from_numpy(FIT_LABELS),
        audit,
    )
    pool = Stacking().fit(FIT[:, audit.numpy()], FIT_LABELS[audit.numpy()])
    expected = pool.pool(FIT, np.ones(3, bool))
    np.testing.assert_array_equal(Stacking().fuse(asked).numpy(), expected)
