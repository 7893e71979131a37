"""Novelty on made-up embeddings: new labels lie elsewhere, and old ones raise few alarms."""

from __future__ import annotations

import numpy as np

from experiments.studies.learning.pretrained.pretrained_novelty import OURS, detected, divided
from experiments.studies.learning.pretrained.pretrained_texts import Texts
from protocols.seeding import generator

CLASSES, EACH = 6, 80


def texts() -> Texts:
    codes = np.repeat(np.arange(CLASSES), EACH)
    noise = generator(0, "points").standard_normal((len(codes), CLASSES))
    points = np.eye(CLASSES)[codes] + 0.1 * noise
    words = [f"word{code} same text" for code in codes]
    return Texts(words, codes.astype(np.int64), points.astype(np.float32))


def test_new_labels_are_novel_and_old_ones_seldom() -> None:
    found = detected(texts(), seed=1)
    assert found[OURS].new > 0.95
    assert found[OURS].auroc > 0.95
    assert all(each.old < 0.15 for each in found.values())


def test_parts_do_not_meet_and_new_labels_are_in_none_of_the_others() -> None:
    codes = texts().codes
    parts = divided(codes, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(len(codes)))
    assert not set(codes[parts.new]) & set(codes[np.concatenate(parts[:3])])
