"""The contract of every adaptation in the table: heads learn, and only from what they may see."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from agents.answering import ADAPTATIONS, Adaptation, Examples, out_of_fold
from agents.answering.logistic import softmax
from protocols.errors import ConfigurationError

CLASSES, ORIGIN = 4, "0123456789abcdef"


@pytest.fixture(params=ADAPTATIONS)
def adaptation(request) -> Adaptation:
    return ADAPTATIONS[request.param]()


def texts(n: int, seed: int, split: str = "fit"):
    """Embeddings around a mean for each class, away from the origin, and the classes."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(99).standard_normal((CLASSES, 8))
    labels = rng.permutation(np.arange(n) % CLASSES)
    rows = 3 + 1.2 * means[labels] + 0.6 * rng.standard_normal((n, 8))
    ids = 10_000 * seed + rng.permutation(n)
    return Examples(split, ids.astype(np.int64), rows.astype(np.float32)), labels


FIT, LABELS = texts(80, 1)
NEW, NEW_LABELS = texts(400, 2, "query")


def test_kind_is_the_key_in_the_table():
    for kind, cls in ADAPTATIONS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__
        assert cls.__doc__.splitlines()[0].endswith(".")


def test_specification_survives_json(adaptation):
    assert type(adaptation).model_validate_json(adaptation.model_dump_json()) == adaptation


def test_head_answers_new_texts_with_distributions(adaptation):
    answers = adaptation.fit(FIT, LABELS, CLASSES).answer(NEW, ORIGIN)
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    assert (answers.probabilities >= 0).all()
    assert answers.right(NEW_LABELS).mean() > 0.85
    assert (answers.split, answers.origins) == ("query", (ORIGIN,))


def test_probabilities_are_calibrated(adaptation):
    answers = adaptation.fit(FIT, LABELS, CLASSES).answer(NEW, ORIGIN)
    confidence = answers.probabilities.max(axis=1).mean()
    assert abs(confidence - answers.right(NEW_LABELS).mean()) < 0.06


def test_embeddings_of_other_texts_teach_nothing(adaptation):
    """The control: the same embeddings, each given to another agent's text."""
    rng = np.random.default_rng(0)
    shuffled = replace(FIT, embeddings=FIT.embeddings[rng.permutation(80)])
    found = out_of_fold(adaptation, shuffled, LABELS, CLASSES, ORIGIN).answers
    # Chance is 0.25; four standard deviations of 80 draws are 0.19.
    assert found.right(LABELS).mean() < 0.25 + 0.19
    assert found.probabilities.max(axis=1).mean() < 0.45
    assert out_of_fold(adaptation, FIT, LABELS, CLASSES, ORIGIN).answers.right(LABELS).mean() > 0.8


def test_order_of_the_texts_changes_nothing(adaptation):
    order = np.random.default_rng(4).permutation(80)
    moved = Examples("fit", FIT.ids[order], FIT.embeddings[order])
    first = adaptation.fit(FIT, LABELS, CLASSES).scores(NEW.embeddings)
    again = adaptation.fit(moved, LABELS[order], CLASSES).scores(NEW.embeddings)
    np.testing.assert_array_equal(first, again)
    whole = out_of_fold(adaptation, FIT, LABELS, CLASSES, ORIGIN).answers.probabilities
    by_order = out_of_fold(adaptation, moved, LABELS[order], CLASSES, ORIGIN).answers.probabilities
    np.testing.assert_allclose(by_order, whole[order], atol=1e-9)


def test_scale_and_origin_of_the_embeddings_change_nothing(adaptation):
    def answer(scale: float, shift: float):
        fit = replace(FIT, embeddings=FIT.embeddings.astype(np.float64) * scale + shift)
        rows = NEW.embeddings.astype(np.float64) * scale + shift
        return softmax(adaptation.fit(fit, LABELS, CLASSES).scores(rows))

    np.testing.assert_allclose(answer(25.0, -7.0), answer(1.0, 0.0), atol=1e-4)


def test_names_of_the_classes_change_nothing_but_the_names(adaptation):
    renamed = np.array([2, 0, 3, 1])
    first = softmax(adaptation.head(FIT.embeddings, LABELS, CLASSES).scores(NEW.embeddings))
    again = adaptation.head(FIT.embeddings, renamed[LABELS], CLASSES).scores(NEW.embeddings)
    np.testing.assert_allclose(softmax(again)[:, renamed], first, atol=1e-5)


def test_origin_changes_nothing_but_the_origin(adaptation):
    head = adaptation.fit(FIT, LABELS, CLASSES)
    first, second = head.answer(NEW, ORIGIN), head.answer(NEW, "f" * 16)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_answers_of_a_head_to_its_own_texts_are_marked(adaptation):
    part = Examples("fit", FIT.ids[:60], FIT.embeddings[:60])
    answers = adaptation.fit(part, LABELS[:60], CLASSES).answer(FIT, ORIGIN)
    np.testing.assert_array_equal(answers.in_sample, np.arange(80) < 60)
    assert not out_of_fold(adaptation, FIT, LABELS, CLASSES, ORIGIN).answers.in_sample.any()


@pytest.mark.parametrize("split", ["calibrate", "test", "query"])
def test_other_splits_are_not_fitted_to(adaptation, split):
    other = replace(FIT, split=split)
    for fit in (
        lambda: adaptation.fit(other, LABELS, CLASSES),
        lambda: out_of_fold(adaptation, other, LABELS, CLASSES, ORIGIN),
    ):
        with pytest.raises(ConfigurationError, match=f"split '{split}'") as caught:
            fit()
        assert caught.value.hint


def test_classes_without_texts_and_strange_labels_are_refused(adaptation):
    with pytest.raises(ConfigurationError, match="class 4 has too few") as caught:
        adaptation.fit(FIT, LABELS, CLASSES + 1)
    assert caught.value.hint
    with pytest.raises(ConfigurationError, match="not a class"):
        adaptation.fit(FIT, LABELS, CLASSES - 1)


def test_flops_are_counted(adaptation):
    head = adaptation.fit(FIT, LABELS, CLASSES)
    assert head.flops >= 2 * 8 * CLASSES
    part = Examples("fit", FIT.ids[:40], FIT.embeddings[:40])
    assert head.fit_flops > 2 * 80 * 8
    assert adaptation.fit(part, LABELS[:40], CLASSES).fit_flops < head.fit_flops
    held = out_of_fold(adaptation, FIT, LABELS, CLASSES, ORIGIN)
    assert held.flops > 2 * head.fit_flops, "five heads, each on four fifths of the texts"
