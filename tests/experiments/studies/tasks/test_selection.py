"""The study of selection regret, on models whose quality is known."""

from __future__ import annotations

import numpy as np

from agentos.tasks.library import ModelCard
from experiments.studies.tasks.selection import SHOTS, TESTED, Model, Text, case, selections, table
from protocols.seeding import generator

CLASSES = 5
LABELS = np.repeat(np.arange(CLASSES), SHOTS + TESTED)
TEXT = Text("made", tuple(f"text {i}" for i in range(len(LABELS))), LABELS)


def model(number: int, noise: float) -> Model:
    rng = generator(0, "model", number)
    means = generator(0, "means").normal(size=(CLASSES, 6))
    rows = (means[LABELS] + noise * rng.normal(size=(len(LABELS), 6))) @ rng.normal(size=(6, 6))
    card = ModelCard(
        name=str(number),
        path="nowhere",
        architecture="bert",
        parameters=10 + number,
        matrix_parameters=10_000,
        layers=1,
        state_width=6,
        width=6,
        context=32,
        origin=str(number),
    )
    return Model(card, rows.astype(np.float32))


MODELS = [model(number, noise) for number, noise in enumerate((0.1, 9, 9, 2, 9, 9, 1, 9, 9, 9))]


def test_measured_choice_regrets_little_and_costs_are_shares() -> None:
    found = [case(MODELS, TEXT, seed) for seed in range(3)]
    linear = [outcome.regret["linear, no prefilter"] for outcome in found]
    assert max(linear) <= 0.05
    assert np.mean([outcome.regret["random"] for outcome in found]) > np.mean(linear)
    for outcome in found:
        assert set(outcome.regret) == set(selections())
        assert all(value >= 0 for value in outcome.regret.values())
        assert outcome.tuning["random"] == outcome.tuning["largest"] == 0
        assert outcome.tuning["linear"] > 1 / 30, "embedding alone is a thirtieth of ten epochs"
    rows = table({"made": found}).splitlines()
    assert len(rows) == 2 + len(selections())


def test_case_is_the_same_again() -> None:
    assert case(MODELS, TEXT, 1).regret == case(MODELS, TEXT, 1).regret
