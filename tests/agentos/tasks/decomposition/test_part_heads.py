"""Heads of a division's parts against heads that are fitted and multiplied by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentos.tasks.decomposition import Division, Part
from agentos.tasks.decomposition.part_heads import fit_parts, fitness
from agents.answering import Examples, out_of_fold
from agents.answering.adapt import Linear, Prototype
from protocols.errors import ConfigurationError
from protocols.seeding import generator

ORIGINS = ("a" * 16, "b" * 16)
CLASSES = 4
TREE = Division(
    CLASSES,
    (Part("root", ((0, 1), (2, 3))), Part("low", ((0,), (1,))), Part("high", ((2,), (3,)))),
)
FLAT = Division(CLASSES, (Part("all", tuple((c,) for c in range(CLASSES))),))


def specialists(split: str, n: int, seed: int) -> tuple[list[Examples], np.ndarray]:
    """The first agent sees which of classes 0 and 1 it is, the other of 2 and 3; both see the half."""
    rng = generator(seed, "specialists", split)
    labels = np.arange(n) % CLASSES
    ids = (1000 if split == "fit" else 5000) + np.arange(n)
    found = []
    for agent in range(2):
        rows = rng.normal(size=(n, 5))
        rows[:, 0] += 4.0 * (labels >= 2)
        rows[:, 1] += 4.0 * (labels % 2) * (labels // 2 == agent)
        found.append(Examples(split, ids, rows))
    return found, labels


FIT, LABELS = specialists("fit", 160, 0)
NEW, NEW_LABELS = specialists("calibrate", 200, 1)


def test_fitness_is_the_out_of_fold_accuracy_of_each_agent_at_each_part() -> None:
    found, flops = fitness(TREE, Linear(), FIT, LABELS)
    members = np.flatnonzero(LABELS < 2)
    own = Examples("fit", FIT[1].ids[members], FIT[1].embeddings[members])
    held = out_of_fold(Linear(), own, LABELS[members], 2, ORIGINS[1])
    assert found[1, 1] == held.answers.right(LABELS[members]).mean()
    assert flops > held.flops > 0
    assert found[1, 0] > 0.9 > 0.7 > found[1, 1]
    assert found[2, 1] > 0.9 > 0.7 > found[2, 0]


@pytest.mark.parametrize("adaptation", [Linear(), Prototype()])
def test_answers_are_products_of_heads_that_are_fitted_by_hand(adaptation) -> None:
    agents = {"root": 0, "low": 0, "high": 1}
    found = fit_parts(TREE, agents, adaptation, FIT, LABELS, ORIGINS).answer(NEW)
    rows = {}
    for part in TREE.parts:
        members = np.flatnonzero(part.labels(LABELS) >= 0)
        mine = FIT[agents[part.name]]
        known = Examples("fit", mine.ids[members], mine.embeddings[members])
        head = adaptation.fit(known, part.labels(LABELS)[members], 2)
        rows[part.name] = head.answer(NEW[agents[part.name]], "0" * 16).probabilities
    expected = np.column_stack(
        [
            rows["root"][:, half] * rows[name][:, side]
            for half, name in enumerate(("low", "high"))
            for side in range(2)
        ]
    )
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-12)
    assert found.origins == ORIGINS
    assert not found.in_sample.any()
    assert not found.abstains.any()


def test_specialists_answer_their_parts_better_than_either_answers_all() -> None:
    def accuracy(division: Division, agents: dict[str, int]) -> float:
        fitted = fit_parts(division, agents, Linear(), FIT, LABELS, ORIGINS)
        return float(fitted.answer(NEW).right(NEW_LABELS).mean())

    divided = accuracy(TREE, {"root": 0, "low": 0, "high": 1})
    assert divided > 0.9
    assert divided > max(accuracy(FLAT, {"all": agent}) for agent in range(2)) + 0.1
    # The control: parts that go to the other agent lose what the division gained.
    assert accuracy(TREE, {"root": 0, "low": 1, "high": 0}) < 0.7


def test_part_reads_out_of_fold_answers_while_it_is_fitted() -> None:
    """Its head is the one that is fitted by hand to the embeddings joined with such answers."""
    half = Part("half", ((0, 1), (2, 3)))
    chain = Division(CLASSES, (half, Part("all", FLAT.parts[0].groups, reads=("half",))))
    fitted = fit_parts(chain, {"half": 1, "all": 0}, Linear(), FIT, LABELS, ORIGINS)

    def joined(own: Examples, read: np.ndarray) -> Examples:
        spread = FIT[0].embeddings - FIT[0].embeddings.mean(axis=0)
        scale = 1 / np.sqrt((spread**2).sum(axis=1).mean())
        return replace(own, embeddings=np.hstack([own.embeddings * scale, read]))

    held = out_of_fold(Linear(), FIT[1], half.labels(LABELS), 2, ORIGINS[1]).answers
    head = Linear().fit(joined(FIT[0], held.probabilities), LABELS, CLASSES)
    first = Linear().fit(FIT[1], half.labels(LABELS), 2).answer(NEW[1], "0" * 16)
    expected = head.answer(joined(NEW[0], first.probabilities), "0" * 16).probabilities
    np.testing.assert_allclose(fitted.answer(NEW).probabilities, expected, atol=1e-9)


def test_texts_of_classes_that_a_read_part_does_not_know_get_its_answer_too() -> None:
    low = Part("low", ((0,), (1,)))
    chain = Division(CLASSES, (low, Part("all", FLAT.parts[0].groups, reads=("low",))))
    found = fit_parts(chain, {"low": 0, "all": 1}, Linear(), FIT, LABELS, ORIGINS).answer(NEW)
    alone = fit_parts(FLAT, {"all": 1}, Linear(), FIT, LABELS, ORIGINS).answer(NEW)
    gain = found.right(NEW_LABELS).mean() - alone.right(NEW_LABELS).mean()
    assert gain > 0.1, "the other agent knows classes 0 and 1 apart"


def test_shards_are_answered_by_their_agents_in_the_order_of_the_texts() -> None:
    columns = FLAT.parts[0].groups
    shards = Division(
        CLASSES,
        (Part("x", columns, rows=np.arange(120, 200)), Part("y", columns, rows=np.arange(120))),
    )
    found = fit_parts(shards, {"x": 1, "y": 0}, Linear(), FIT, LABELS, ORIGINS).answer(NEW)
    whole = [
        fit_parts(FLAT, {"all": agent}, Linear(), FIT, LABELS, ORIGINS).answer(NEW)
        for agent in range(2)
    ]
    np.testing.assert_array_equal(found.probabilities[:120], whole[0].probabilities[:120])
    np.testing.assert_array_equal(found.probabilities[120:], whole[1].probabilities[120:])


def test_lone_agent_answers_every_part() -> None:
    lone = fit_parts(FLAT, {"all": 0}, Linear(), FIT[:1], LABELS, ORIGINS[:1]).answer(NEW[:1])
    head = Linear().fit(FIT[0], LABELS, CLASSES)
    np.testing.assert_array_equal(lone.probabilities, head.answer(NEW[0], ORIGINS[0]).probabilities)
    np.testing.assert_array_equal(lone.ids, NEW[0].ids)


def test_answers_to_examples_are_marked_as_in_sample() -> None:
    fitted = fit_parts(
        TREE, dict.fromkeys(("root", "low", "high"), 0), Linear(), FIT, LABELS, ORIGINS
    )
    assert fitted.answer(FIT).in_sample.all()


def test_heads_are_fitted_on_fit_alone_and_each_part_needs_an_agent() -> None:
    agents = {"root": 0, "low": 0, "high": 0}
    with pytest.raises(ConfigurationError, match="must not be fitted"):
        fit_parts(TREE, agents, Linear(), NEW, NEW_LABELS, ORIGINS)
    with pytest.raises(ConfigurationError, match="has no agent") as caught:
        fit_parts(TREE, {"root": 0}, Linear(), FIT, LABELS, ORIGINS)
    assert caught.value.hint
