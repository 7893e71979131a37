"""The study of the gate: seeded updates have the truth that they state, and harmful ones stay out."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.learning.gate import (
    HABITS,
    NEW,
    OLD,
    RULES,
    UPDATES,
    Update,
    if_better,
    inflation,
    let_in,
    page,
    simulated,
)

GATE = RULES["gate, 4 × 700 examples"]


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update.name)
def test_seeded_updates_gain_and_lose_what_they_state(update: Update) -> None:
    drawn = [simulated(seed, update) for seed in range(12)]
    old = np.arange(OLD + NEW) < OLD
    first = old & (drawn[0].labels == 0)
    parts = [(old & ~first if update.label else old, update.old), (~old, update.new)]
    parts += [(first, update.label)] if update.label else []
    for rows, (gained, lost) in parts:
        counts = np.array([evidence.counts(rows) for evidence in drawn]).sum(axis=0)
        size = counts[2]
        for count, share in zip(counts[:2], (gained, lost), strict=True):
            error = 4 * np.sqrt(share * (1 - share) / size)
            assert count / size == pytest.approx(share, abs=error + 1e-12)


@pytest.mark.parametrize(
    "update", [each for each in UPDATES if not each.wanted], ids=lambda update: update.name
)
def test_seeded_harmful_updates_stay_out(update: Update) -> None:
    # At most 5 % may come in: 4 or more of 8 would be a chance of less than one in a thousand.
    assert sum(GATE(seed, update) for seed in range(8)) < 4


def test_what_is_better_on_the_examples_at_hand_may_harm_what_is_old() -> None:
    paid = next(each for each in UPDATES if each.new[0] == 0.5 and each.label is None)
    assert not paid.wanted
    assert all(if_better(seed, paid) for seed in range(4))
    assert not any(GATE(seed, paid) for seed in range(4))


def test_shares_come_with_their_exact_interval() -> None:
    none = let_in(lambda seed, update: False, UPDATES[0], 100)
    assert none[:2] == (0.0, 0.0)
    assert (1 - none[2]) ** 100 == pytest.approx(0.025)  # the chance to see none of a hundred
    assert let_in(lambda seed, update: True, UPDATES[0], 100)[2] == 1.0


def test_estimates_are_inflated_by_asking_the_same_examples_again() -> None:
    reused = HABITS["accept if better, the same examples"]
    assert np.mean([inflation(reused, seed) for seed in range(3)]) > 0.02


def test_page_has_a_row_for_each_update_and_habit() -> None:
    text = page(1, "the command", UPDATES[:1])
    assert f"| {UPDATES[0].name} | out |" in text
    assert all(f"| {name} |" in text for name in (*RULES, *HABITS))
