"""The gate against seeded updates whose truth is known: harmful ones stay out, helpful ones come in."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from agentos.learning.gate import Evidence, ExamplePool, Gate, Verdict, review
from agentos.learning.gate.exact_tests import examples_to_see
from protocols.errors import ConfigurationError

LABELS = 5
GATE = Gate(batch=700, looks=4)
REPEATS = 120


def answers(
    rng: np.random.Generator, n: int, gained: float, lost: float
) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two models: right under both 0.6, and these shares under one of them."""
    drawn = rng.random(n)
    after_only, before_only = drawn < gained, (drawn >= gained) & (drawn < gained + lost)
    both = (drawn >= gained + lost) & (drawn < gained + lost + 0.6)
    return both | before_only, both | after_only


def verdict_of(
    seed: int,
    old: tuple[float, float],
    new: tuple[float, float],
    gate: Gate = GATE,
    label: tuple[float, float] | None = None,
    sizes: tuple[int, int] = (2000, 800),
) -> Verdict:
    """Review an update with these shares gained and lost of old and new examples, or of old label 0."""
    rng = np.random.default_rng(seed)
    count_old, count_new = sizes
    labels = np.arange(count_old + count_new) % LABELS
    labels[count_old:] += LABELS
    before, after = (
        np.concatenate(pair)
        for pair in zip(answers(rng, count_old, *old), answers(rng, count_new, *new), strict=True)
    )
    if label is not None:
        rows = np.flatnonzero(labels == 0)
        before[rows], after[rows] = answers(rng, len(rows), *label)
    episodes = np.repeat([0, 1], sizes)
    pool = ExamplePool(seed)
    pool.add(0, range(count_old))
    pool.add(1, range(count_old, count_old + count_new))
    return review(
        gate, pool, lambda ids: Evidence(before[ids], after[ids], labels[ids], episodes[ids]), 1
    )


def share_accepted(**truth: object) -> float:
    verdicts = [verdict_of(seed, **truth) for seed in range(REPEATS)]  # type: ignore[arg-type]
    return float(np.mean([verdict.accepted for verdict in verdicts]))


def test_updates_that_lose_two_points_stay_out() -> None:
    assert share_accepted(old=(0.02, 0.04), new=(0.02, 0.04)) <= 0.05


def test_updates_that_pay_with_two_old_points_stay_out() -> None:
    assert share_accepted(old=(0.02, 0.04), new=(0.5, 0.0)) <= 0.05


def test_updates_that_change_nothing_for_the_better_stay_out() -> None:
    assert share_accepted(old=(0.03, 0.03), new=(0.03, 0.03)) <= 0.05


def test_updates_that_forget_one_old_label_stay_out() -> None:
    forgets = {"label": (0.0, 0.3), "new": (0.5, 0.0)}
    assert share_accepted(old=(0.12, 0.0), **forgets) <= 0.05
    # The groups catch it, not the old examples as a whole, which gain.
    blind = Gate(batch=700, looks=4, per=())
    assert share_accepted(old=(0.12, 0.0), gate=blind, **forgets) >= 0.8


def test_updates_that_gain_two_points_come_in_at_the_stated_number_of_examples() -> None:
    stated = examples_to_see(0.02, 0.06, alpha=GATE.alpha / GATE.looks, power=0.9)
    assert stated <= GATE.batch * GATE.looks
    assert share_accepted(old=(0.04, 0.02), new=(0.04, 0.02)) >= 0.8


def test_gate_stops_looking_once_it_is_sure() -> None:
    sure = verdict_of(0, old=(0.2, 0.0), new=(0.2, 0.0))
    assert sure.accepted
    assert sure.examples == GATE.batch


def test_refusal_names_what_was_not_met() -> None:
    verdict = verdict_of(1, old=(0.0, 0.3), new=(0.5, 0.0))
    assert verdict.outcome == "refuse"
    assert any(reason.startswith("old examples lose") for reason in verdict.reasons)
    assert any(reason.startswith("label 0 loses") for reason in verdict.reasons)
    assert any(reason.startswith("episode 1 loses") for reason in verdict.reasons)


def test_without_old_examples_nothing_is_let_in() -> None:
    verdict = verdict_of(0, old=(0.0, 0.0), new=(0.5, 0.0), sizes=(0, 800))
    assert verdict.outcome == "refuse"
    assert "no baseline" in verdict.reasons[0]


def test_few_examples_ask_for_more_and_are_refused_at_the_end() -> None:
    rng = np.random.default_rng(0)
    before, after = answers(rng, 60, 0.2, 0.0)
    evidence = Evidence(before, after, np.zeros(60, np.int64), np.repeat([0, 1], 30))
    gate = Gate()
    assert gate.judge(evidence, 1, last=False).outcome == "more"
    assert gate.judge(evidence, 1, last=True).outcome == "refuse"


def test_proof_for_each_group_refuses_what_is_merely_not_refuted() -> None:
    truth = {"old": (0.04, 0.02), "new": (0.3, 0.0)}
    strict = Gate(batch=700, looks=4, each="shown")
    assert verdict_of(0, **truth).accepted
    refused = verdict_of(0, gate=strict, **truth)
    assert refused.outcome == "refuse"
    assert any("is not shown" in reason for reason in refused.reasons)


def inflation(examples: str, seed: int, episodes: int = 50, size: int = 1000) -> float:
    """Measured minus true accuracy after updates that only reshuffle their mistakes; the truth is 0.7."""
    rng = np.random.default_rng(seed)
    gate = Gate(examples=examples, looks=1, batch=size, drop=0.02)
    pool = ExamplePool(seed, fresh=examples == "fresh")
    pool.add(0, range(size * (episodes if pool.fresh else 1)))
    model = rng.random(len(pool.episodes[0])) < 0.7
    measured = 0.7
    for episode in range(1, episodes + 1):
        redrawn = rng.random(len(model)) < 0.3
        candidate = np.where(redrawn, rng.random(len(model)) < 0.7, model)
        verdict = review(gate, pool, partial(_evidence, model, candidate), episode)
        model = candidate if verdict.accepted else model
        measured = verdict.accuracy
    return measured - 0.7


def _evidence(before: np.ndarray, after: np.ndarray, ids: np.ndarray) -> Evidence:
    zeros = np.zeros(len(ids), np.int64)
    return Evidence(before[ids], after[ids], zeros, zeros)


def test_fifty_episodes_do_not_inflate_the_estimate_on_fresh_examples() -> None:
    assert np.mean([inflation("fresh", seed) for seed in range(8)]) <= 0.005


def test_fifty_episodes_inflate_the_estimate_on_reused_examples() -> None:
    assert np.mean([inflation("reused", seed) for seed in range(8)]) > 0.01


def test_evidence_of_different_lengths_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="same examples"):
        Evidence(np.zeros(2, bool), np.zeros(3, bool), np.zeros(2, np.int64), np.zeros(2, np.int64))
