"""Clipping and noise of messages, against a slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.exchange import EXCHANGES
from agents.exchange.privacy.protection import Privacy, protect
from protocols.messages import (
    Embeddings,
    LabelVotes,
    Logits,
    Prototypes,
    PseudoLabels,
    SimilarityTargets,
    Statistics,
    WeightDeltas,
    Weights,
)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def labels(*shape: int) -> np.ndarray:
    scores = np.exp(random(*shape))
    return scores / scores.sum(axis=-1, keepdims=True)


def units(*shape: int) -> np.ndarray:
    values = random(*shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def similarities(count: int) -> np.ndarray:
    values = np.exp(random(count, count))
    np.fill_diagonal(values, 0.0)
    return values / values.sum(axis=1, keepdims=True)


PAYLOADS = {
    "weights": Weights(values=random(40), weight=3.0, layout="l"),
    "weight_deltas": WeightDeltas(values=random(40), weight=3.0, layout="l"),
    "logits": Logits(values=random(5, 4), weight=1.0),
    "embeddings": Embeddings(values=units(2, 5, 4)),
    "prototypes": Prototypes(values=units(3, 4), counts=np.array([1, 0, 5], np.float32)),
    "pseudo_labels": PseudoLabels(probabilities=labels(5, 4), weight=1.0),
    "label_votes": LabelVotes(probabilities=labels(3, 5, 4)),
    "similarities": SimilarityTargets(values=similarities(6), weight=1.0),
    "statistics": Statistics(
        means=random(2, 3), squares=random(2, 3) ** 2, products=random(3, 3), weight=8.0
    ),
}


@pytest.fixture(params=PAYLOADS)
def payload(request):
    return PAYLOADS[request.param]


def slowly(payload, clip, noise, known, draws):
    """Clip and noise one number after the other: the arrays in the order of their declaration."""
    arrays = {name: getattr(payload, name) for name in payload.array_fields if name != "counts"}
    flat = {name: [float(x) for x in values.ravel()] for name, values in arrays.items()}
    for name, values in flat.items():
        if name in known:
            flat[name] = [x - float(k) for x, k in zip(values, known[name].ravel(), strict=True)]
    length = math.sqrt(sum(x * x for values in flat.values() for x in values))
    found = {}
    for name, values in flat.items():
        out = []
        for place, x in enumerate(values):
            clipped = x if length <= clip else x * clip / length
            centre = float(known[name].ravel()[place]) if name in known else 0.0
            out.append(centre + clipped + noise * clip * draws.standard_normal())
        found[name] = np.array(out).reshape(arrays[name].shape)
    return found


@pytest.mark.parametrize("kind", ["weights", "weight_deltas", "logits"])
@pytest.mark.parametrize("clip", [0.5, 100.0])
def test_numbers_are_those_of_the_slow_reference(kind, clip):
    payload = PAYLOADS[kind]
    known = {"values": random(40, seed=7)} if kind == "weights" else {}
    found = protect(payload, Privacy(clip=clip, noise=0.3), known, np.random.default_rng(5))
    expected = slowly(payload, clip, 0.3, known, np.random.default_rng(5))
    assert np.allclose(found.values, expected["values"], atol=1e-6)


def test_moments_are_clipped_together_and_squares_stay_above_zero():
    payload = PAYLOADS["statistics"]
    found = protect(payload, Privacy(clip=0.7, noise=0.3), {}, np.random.default_rng(5))
    expected = slowly(payload, 0.7, 0.3, {}, np.random.default_rng(5))
    assert (expected["squares"] < 0).any()
    expected["squares"] = np.maximum(expected["squares"], 0)
    for name, values in expected.items():
        assert np.allclose(getattr(found, name), values, atol=1e-6)


def test_protected_payloads_are_valid_whatever_the_noise(payload):
    for noise in (0.0, 0.5, 50.0):
        found = protect(payload, Privacy(noise=noise), {}, np.random.default_rng(1))
        found.check_values()
        assert {n: getattr(found, n).shape for n in found.array_fields} == {
            n: getattr(payload, n).shape for n in payload.array_fields
        }
        assert all(getattr(found, n) == getattr(payload, n) for n in found.scalar_fields)


def test_nothing_changes_without_clip_and_noise_but_counts(payload):
    kept = payload.model_copy(deep=True)
    found = protect(payload, Privacy(clip=None), {}, np.random.default_rng(1))
    assert payload == kept
    for name in payload.array_fields:
        values = getattr(payload, name)
        expected = np.full_like(values, values.mean()) if name == "counts" else values
        assert np.allclose(getattr(found, name), expected, atol=1e-6)


def test_two_messages_lie_within_twice_the_clip_and_the_noise_hides_them():
    """The sensitivity on which the guarantee rests, and the attack that it bounds: a likelihood ratio."""
    one, other = (Weights(values=random(30, seed=s) * 9, weight=1.0, layout="l") for s in (1, 2))
    known = {"values": random(30, seed=3)}
    silent = Privacy(clip=1.0, noise=0.0)
    a, b = (protect(p, silent, known, np.random.default_rng(0)).values for p in (one, other))
    assert 1.0 < np.linalg.norm(a - b) <= 2.0 + 1e-5
    rates = {}
    for noise in (0.1, 20.0):
        draws = np.random.default_rng(4)
        privacy = Privacy(clip=1.0, noise=noise)
        sent = [(protect(p, privacy, known, draws).values, p is one) for p in (one, other) * 300]
        right = [(np.linalg.norm(v - a) < np.linalg.norm(v - b)) == truth for v, truth in sent]
        rates[noise] = float(np.mean(right))
    assert rates[0.1] == 1.0
    assert rates[20.0] < 0.58


@pytest.mark.parametrize("kind", ["demo", "ranked_neighbours"])
def test_what_noise_cannot_cover_is_refused(kind):
    with pytest.raises(ValueError, match=r"exchange\.privacy: .*noise cannot cover"):
        EXCHANGES[kind](privacy={"noise": 1.0})


def test_a_weight_that_tells_the_length_of_private_text_is_refused():
    with pytest.raises(ValueError, match="weighting tokens"):
        EXCHANGES["diloco"](weighting="tokens", privacy={"noise": 1.0})


def test_a_hybrid_leaves_privacy_to_its_parts():
    with pytest.raises(ValueError, match="privacy of each strategy"):
        EXCHANGES["hybrid"](strategies=["fedavg", "anchor_contrast"], privacy={"noise": 1.0})
