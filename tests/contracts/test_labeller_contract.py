"""The contract of every labeller in the table: what it may see, and what its labels are worth."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from agentos.learning.labelling import LABELLERS, Labeller
from agents.answering import Answers
from agents.answering.logistic import softmax
from protocols.errors import ConfigurationError

CLASSES = 5
ORIGINS = ("a" * 16, "b" * 16, "c" * 16)


@pytest.fixture(params=LABELLERS)
def labeller(request) -> Labeller:
    return LABELLERS[request.param]()


def answers_of(split: str, n: int, seed: int) -> tuple[list[Answers], np.ndarray]:
    """Answers of three agents, unsure on half of the texts, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % CLASSES)
    hard = rng.random(n) < 0.5
    no, ids = np.zeros(n, bool), 10_000 * seed + np.arange(n)
    found = []
    for origin in ORIGINS:
        scores = rng.standard_normal((n, CLASSES))
        scores[np.arange(n), truth] += np.where(hard, 0.5, 5.0)
        found.append(Answers(split, ids, softmax(scores), no, no, (origin,)))
    return found, truth


CALIBRATION, CALIBRATION_TRUTH = answers_of("calibrate", 800, 1)
NEW, TRUTH = answers_of("query", 4000, 2)


def test_kind_is_the_key_in_the_table() -> None:
    for kind, cls in LABELLERS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


def test_labels_are_as_precise_as_stated_and_cover_what_is_easy(labeller: Labeller) -> None:
    found = labeller.label(CALIBRATION, CALIBRATION_TRUTH, NEW)
    precision = found.precision(TRUTH)
    assert precision is not None
    assert precision >= labeller.precision
    assert found.coverage >= 0.4
    assert found.coverage == found.certain.mean()


def test_an_unreachable_precision_labels_nothing(labeller: Labeller) -> None:
    strict = labeller.model_copy(update={"precision": 0.9999})
    found = strict.label(CALIBRATION, CALIBRATION_TRUTH, NEW)
    assert found.threshold is None
    assert found.coverage == 0.0
    assert found.precision(TRUTH) is None


def test_agents_that_abstain_label_nothing(labeller: Labeller) -> None:
    silent = [replace(each, abstains=np.ones(len(each.ids), bool)) for each in NEW]
    assert labeller.label(CALIBRATION, CALIBRATION_TRUTH, silent).coverage == 0.0


def test_calibration_on_other_splits_or_in_sample_is_refused(labeller: Labeller) -> None:
    for wrong in (
        [replace(each, split="test") for each in CALIBRATION],
        [replace(each, in_sample=np.ones(len(each.ids), bool)) for each in CALIBRATION],
    ):
        with pytest.raises(ConfigurationError):
            labeller.label(wrong, CALIBRATION_TRUTH, NEW)
