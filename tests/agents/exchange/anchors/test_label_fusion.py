"""Every fusion of soft labels against a case worked out by hand, or a slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.exchange.anchors.dawid_skene import dawid_skene
from agents.exchange.anchors.label_fusion import (
    ERA,
    FUSIONS,
    DawidSkene,
    EntropyWeighted,
    Majority,
    Mean,
    ValidationWeighted,
    Votes,
)
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange


def votes(probabilities, weights=None, classes=None, audit=()) -> Votes:
    values = torch.tensor(probabilities, dtype=torch.float64)
    senders, anchors, _ = values.shape
    return Votes(
        values,
        torch.tensor(weights or [1.0] * senders, dtype=torch.float64),
        torch.tensor(classes or [0] * anchors),
        torch.tensor(audit, dtype=torch.int64),
    )


def random_votes(senders=4, anchors=6, classes=3) -> Votes:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(classes), size=(senders, anchors))
    return votes(probabilities, classes=(np.arange(anchors) % classes).tolist(), audit=[1, 4])


TWO = [[[0.8, 0.2], [0.5, 0.5]], [[0.2, 0.8], [1.0, 0.0]]]
"""Two senders, two anchors, two classes."""


def test_mean_weighs_by_agents():
    fused = Mean().fuse(votes(TWO, weights=[3.0, 1.0]))
    np.testing.assert_allclose(fused, [[0.65, 0.35], [0.625, 0.375]])


def test_era_is_a_softmax_of_the_mean():
    fused = ERA(temperature=0.25).fuse(votes(TWO)).numpy()
    sure = math.exp(0.75 / 0.25) / (math.exp(0.75 / 0.25) + math.exp(0.25 / 0.25))
    np.testing.assert_allclose(fused, [[0.5, 0.5], [sure, 1 - sure]])


def test_entropy_weighted_leans_anchor_by_anchor_to_the_sure():
    fused = EntropyWeighted(temperature=0.5).fuse(votes(TWO)).numpy()
    # About anchor 0 both are as sure; about anchor 1 the first has entropy log 2, the second none.
    weight = math.exp(-math.log(2) / 0.5)  # a quarter
    np.testing.assert_allclose(fused[0], [0.5, 0.5])
    np.testing.assert_allclose(fused[1, 0], (weight * 0.5 + 1.0) / (weight + 1.0))
    equal = EntropyWeighted(temperature=100.0).fuse(votes(TWO)).numpy()
    np.testing.assert_allclose(equal, Mean().fuse(votes(TWO)), atol=5e-3)


def test_entropy_weighted_keeps_agents_that_are_all_unsure():
    fused = EntropyWeighted(temperature=0.01).fuse(votes(np.full((2, 1, 1000), 1e-3).tolist()))
    np.testing.assert_allclose(fused, 1e-3)


def test_validation_weighted_leans_to_those_who_are_right_on_audit_anchors():
    said = [
        [[0.9, 0.1], [0.1, 0.9], [0.6, 0.4]],  # right about 0 and 1
        [[0.4, 0.6], [0.3, 0.7], [0.0, 1.0]],  # right about 1
    ]
    asked = votes(said, classes=[0, 1, 1], audit=[0, 1])
    fused = ValidationWeighted(temperature=0.5).fuse(asked).numpy()
    first = 1 / (1 + math.exp((0.5 - 1.0) / 0.5))
    np.testing.assert_allclose(fused[2, 0], first * 0.6)
    # The anchor that is no audit anchor tells nothing: another public class changes nothing.
    other = votes(said, classes=[0, 1, 0], audit=[0, 1])
    np.testing.assert_array_equal(fused, ValidationWeighted(temperature=0.5).fuse(other))


def test_majority_returns_the_shares_of_the_votes():
    said = [[[0.6, 0.4, 0.0]], [[0.4, 0.5, 0.1]], [[0.9, 0.1, 0.0]]]
    np.testing.assert_allclose(Majority().fuse(votes(said)), [[2 / 3, 1 / 3, 0.0]])
    np.testing.assert_allclose(
        Majority().fuse(votes(said, weights=[1.0, 3.0, 1.0])), [[0.4, 0.6, 0.0]]
    )


def slow_dawid_skene(chosen, classes, iterations, smoothing) -> np.ndarray:
    """The two steps, written as loops over agents, anchors and classes."""
    agents, anchors = chosen.shape
    posterior = np.zeros((anchors, classes))
    for s in range(agents):
        for n in range(anchors):
            posterior[n, chosen[s, n]] += 1 / agents
    for _ in range(iterations):
        confusion = np.zeros((agents, classes, classes))
        for s in range(agents):
            for true in range(classes):
                for label in range(classes):
                    named = sum(posterior[n, true] for n in range(anchors) if chosen[s, n] == label)
                    confusion[s, label, true] = named + smoothing
                confusion[s, :, true] /= confusion[s, :, true].sum()
        frequency = [sum(posterior[:, true]) / anchors for true in range(classes)]
        for n in range(anchors):
            likelihood = [
                frequency[true] * math.prod(confusion[s, chosen[s, n], true] for s in range(agents))
                for true in range(classes)
            ]
            posterior[n] = np.array(likelihood) / sum(likelihood)
    return posterior


@pytest.mark.parametrize("iterations", [1, 2, 7])
@pytest.mark.parametrize("smoothing", [0.01, 1.0])
def test_dawid_skene_equals_the_loops(iterations, smoothing):
    chosen = np.random.default_rng(1).integers(3, size=(4, 9))
    chosen[:, 0] = 2
    fast = dawid_skene(chosen, 4, iterations, smoothing)  # class 3 is never named
    np.testing.assert_allclose(fast, slow_dawid_skene(chosen, 4, iterations, smoothing), rtol=1e-9)
    assert (fast[:, 3] == 0).all()


def test_dawid_skene_learns_whom_to_believe_where_the_majority_is_wrong():
    rng = np.random.default_rng(2)
    truth = rng.integers(3, size=200)
    right = [np.where(rng.random(200) < 0.9, truth, rng.integers(3, size=200)) for _ in range(3)]
    noise = [rng.integers(3, size=200) for _ in range(4)]
    chosen = np.stack([*right, *noise])
    shares = np.eye(3)[chosen].mean(axis=0)
    by_majority = (shares.argmax(axis=1) == truth).mean()
    fused = dawid_skene(chosen, 3, 50, 0.1)
    assert by_majority < 0.92
    assert (fused.argmax(axis=1) == truth).mean() > by_majority + 0.04


def test_dawid_skene_fuses_the_most_probable_classes():
    asked = random_votes()
    fused = DawidSkene(iterations=5, smoothing=0.2).fuse(asked)
    chosen = asked.probabilities.argmax(dim=-1).numpy()
    np.testing.assert_allclose(fused, dawid_skene(chosen, 3, 5, 0.2), rtol=1e-6)


@pytest.mark.parametrize("kind", FUSIONS)
def test_fused_labels_are_distributions_in_any_order_of_the_senders(kind):
    fusion, asked = FUSIONS[kind](), random_votes()
    fused = fusion.fuse(asked).numpy()
    np.testing.assert_allclose(fused.sum(axis=1), 1.0, rtol=1e-6)
    assert (fused >= 0).all()
    back = votes(asked.probabilities.flip(0).numpy(), classes=asked.classes.tolist(), audit=[1, 4])
    np.testing.assert_allclose(fusion.fuse(back), fused, rtol=1e-6, atol=1e-12)


def test_fusion_is_configured_by_kind():
    assert PseudoLabelExchange(fusion="majority").fusion == Majority()
    fusion = PseudoLabelExchange(fusion={"era": {"temperature": 0.2}}).fusion
    assert fusion == ERA(temperature=0.2)
    with pytest.raises(ValidationError, match="loudest"):
        PseudoLabelExchange(fusion="loudest")
