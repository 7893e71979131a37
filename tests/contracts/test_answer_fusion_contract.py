"""The contract of every fusion of answers in the table, and of what it may be fitted to."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from agents.answering import FUSIONS, Answers, fit_fusion
from agents.answering.logistic import softmax
from agents.exchange.anchors.label_fusion import LabelFusion
from protocols.errors import ConfigurationError

ORIGINS = tuple(letter * 16 for letter in "abc")
CLASSES = 6
PER_BATCH = {"dawid_skene"}
"""Fusions that learn from the batch itself: the same text is fused otherwise in another batch."""


@pytest.fixture(params=FUSIONS)
def fusion(request) -> LabelFusion:
    return FUSIONS[request.param]()


def specialists(n: int, seed: int, split: str) -> tuple[list[Answers], np.ndarray]:
    """Answers of three agents that know two of six classes well each, and the others a little."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % CLASSES)
    scores = rng.standard_normal((3, n, CLASSES))
    for agent in range(3):
        scores[agent, np.arange(n), truth] += np.where(truth % 3 == agent, 3.5, 0.9)
    no, ids = np.zeros(n, bool), 10_000 * seed + np.arange(n)
    rows = softmax(scores)
    found = [
        Answers(split, ids, row, no, no, (name,)) for row, name in zip(rows, ORIGINS, strict=True)
    ]
    return found, truth


FIT, LABELS = specialists(240, 1, "fit")
NEW, NEW_LABELS = specialists(400, 2, "query")


def test_kind_is_the_key_in_the_table():
    for kind, cls in FUSIONS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__
        assert cls.__doc__.splitlines()[0].endswith(".")


def test_specification_survives_json(fusion):
    assert type(fusion).model_validate_json(fusion.model_dump_json()) == fusion


def test_fused_answers_are_distributions_about_the_same_texts(fusion):
    fused = fit_fusion(fusion, FIT, LABELS).fuse(NEW)
    np.testing.assert_allclose(fused.probabilities.sum(axis=1), 1)
    assert (fused.probabilities >= 0).all()
    np.testing.assert_array_equal(fused.ids, NEW[0].ids)
    assert (fused.split, fused.origins) == ("query", ORIGINS)
    assert not fused.abstains.any()


def test_fused_answers_are_better_than_those_of_the_best_agent(fusion):
    fused = fit_fusion(fusion, FIT, LABELS).fuse(NEW).right(NEW_LABELS).mean()
    assert fused > max(found.right(NEW_LABELS).mean() for found in NEW) + 0.03


def test_shuffled_agents_lose_what_fusion_gains(fusion):
    """The control: each agent but the first answers the text of another, so there is nothing to fuse."""
    rng = np.random.default_rng(3)

    def shuffle(found: list[Answers]) -> list[Answers]:
        orders = [np.arange(len(found[0].ids)), *(rng.permutation(len(found[0].ids)) for _ in "ab")]
        return [
            replace(one, probabilities=one.probabilities[order])
            for one, order in zip(found, orders, strict=True)
        ]

    fitted = fit_fusion(fusion, shuffle(FIT), LABELS)
    best = max(found.right(NEW_LABELS).mean() for found in NEW)
    assert fitted.fuse(shuffle(NEW)).right(NEW_LABELS).mean() < best + 0.03


def test_order_and_names_of_the_agents_change_nothing(fusion):
    expected = fit_fusion(fusion, FIT, LABELS).fuse(NEW).probabilities
    moved = fit_fusion(fusion, FIT[::-1], LABELS).fuse([NEW[1], NEW[2], NEW[0]])
    np.testing.assert_allclose(moved.probabilities, expected, atol=1e-9)

    def renamed(found: list[Answers]) -> list[Answers]:
        return [replace(one, origins=(o,)) for one, o in zip(found, ("9" * 16, "0" * 16, "f" * 16))]  # noqa: B905

    other = fit_fusion(fusion, renamed(FIT), LABELS).fuse(renamed(NEW))
    np.testing.assert_allclose(other.probabilities, expected, atol=1e-4)


def test_ids_and_order_of_the_texts_change_nothing(fusion):
    fitted = fit_fusion(fusion, FIT, LABELS)
    expected = fitted.fuse(NEW).probabilities
    order = np.random.default_rng(5).permutation(400)
    moved = [replace(f, ids=f.ids + 77, probabilities=f.probabilities[order]) for f in NEW]
    np.testing.assert_allclose(fitted.fuse(moved).probabilities, expected[order], atol=1e-9)


def test_text_is_fused_alike_alone_and_in_a_batch(fusion):
    fitted = fit_fusion(fusion, FIT, LABELS)
    alone = [
        Answers("query", f.ids[:1], f.probabilities[:1], f.abstains[:1], f.in_sample[:1], f.origins)
        for f in NEW
    ]
    apart = np.abs(fitted.fuse(alone).probabilities - fitted.fuse(NEW).probabilities[:1]).max()
    assert bool(apart > 1e-9) is (fusion.kind in PER_BATCH)


@pytest.mark.parametrize("split", ["calibrate", "test", "query"])
def test_nothing_is_fitted_to_other_splits(fusion, split):
    with pytest.raises(ConfigurationError, match=f"split '{split}'") as caught:
        fit_fusion(fusion, [replace(found, split=split) for found in FIT], LABELS)
    assert caught.value.hint


def test_nothing_is_fitted_to_in_sample_answers(fusion):
    seen = np.arange(240) == 5
    with pytest.raises(ConfigurationError, match="fitted on") as caught:
        fit_fusion(fusion, [*FIT[:2], replace(FIT[2], in_sample=seen)], LABELS)
    assert "out_of_fold" in str(caught.value.hint)


def test_in_sample_answers_stay_marked_when_fused(fusion):
    seen = np.arange(400) % 3 == 0
    fused = fit_fusion(fusion, FIT, LABELS).fuse([*NEW[:2], replace(NEW[2], in_sample=seen)])
    np.testing.assert_array_equal(fused.in_sample, seen)


def test_flops_count_every_agent(fusion):
    few = fit_fusion(fusion, FIT[:2], LABELS).flops
    assert fit_fusion(fusion, FIT, LABELS).flops == pytest.approx(1.5 * few)
