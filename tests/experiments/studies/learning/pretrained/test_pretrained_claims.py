"""Answers by claims on made-up embeddings: an agent alone learns of labels that only the other has met."""

from __future__ import annotations

import numpy as np

from experiments.studies.learning.pretrained.pretrained_claims import answered
from experiments.studies.learning.pretrained.pretrained_texts import Texts
from protocols.seeding import generator

CLASSES, EACH = 10, 120


def texts() -> Texts:
    """Documents of ten labels, close to the corners of a simplex."""
    codes = np.repeat(np.arange(CLASSES), EACH)
    noise = generator(0, "points").standard_normal((len(codes), CLASSES))
    points = np.eye(CLASSES)[codes] + 0.25 * noise
    names = [f"text {row}" for row in range(len(codes))]
    return Texts(names, codes.astype(np.int64), points.astype(np.float32))


def test_claims_tell_an_agent_of_labels_that_only_the_other_has_met() -> None:
    known = texts()
    unlike = answered(known, "unlike", 0.5, seed=1)
    assert unlike.alone < 0.6  # half of the labels are strange to each
    assert unlike.alone_with_claims > unlike.alone + 0.2
    assert unlike.vote > 0.9
    alike = answered(known, "alike", 0.5, seed=1)
    assert alike.alone > 0.9
