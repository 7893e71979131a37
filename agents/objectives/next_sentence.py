"""Classification of a text's continuation against a segment of another text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from agents.lazy_torch import nn
from agents.objectives.base import LossOutput, Objective, Prepared, RawBatch, Step
from agents.objectives.pairs import UNCLASSIFIED, classify, piece, segments

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

_HEAD = "next_sentence"


class NextSentence(Objective):
    """Next sentence prediction (BERT, Devlin et al. 2019): tell a continuation from another document.

    ``CE(head(pooled), random?)``. With probability 1/2 the second segment is the continuation of the first,
    otherwise it begins at a random sentence of another document of the batch. `agents.objectives.pairs` cuts
    the documents, including those of a single sentence; neither length nor position of a random segment
    reveals it. Documents of a single token are encoded, but not classified, and in a batch of one document
    nothing is random. No pooled states are offered to exchanges, since half of the pairs are of two
    documents.

    Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019.
    """

    kind: Literal["next_sentence"] = "next_sentence"

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the classifier: pooled states to two logits, consecutive and random."""
        return {_HEAD: nn.Linear(encoder.width, 2)}

    def prepare(self, raw: RawBatch) -> Prepared:
        """Cut every document in two, and replace half of the second segments: label 1."""
        first, second, labels = [], [], []
        for row, text in enumerate(raw.texts):
            start, following = segments(
                text, raw.collate.pair_budget, raw.setting.vocabulary, raw.rng
            )
            random = len(raw.texts) > 1 and bool(raw.rng.random() < 0.5)
            labels.append(UNCLASSIFIED if len(text) == 1 else int(random))
            first.append(start)
            second.append(_elsewhere(raw, row, len(following)) if random else following)
        return {"pairs": raw.collate.pair(first, second), "labels": np.array(labels)}

    def loss(self, step: Step) -> LossOutput:
        """Classify the pooled states of the pairs."""
        result = classify(step, step.encoder.heads[_HEAD], "next_sentence_accuracy")
        return replace(result, pooled=())


def _elsewhere(raw: RawBatch, row: int, length: int) -> np.ndarray:
    """Return a segment of another document."""
    other = (row + int(raw.rng.integers(1, len(raw.texts)))) % len(raw.texts)
    return piece(raw.texts[other], length, raw.setting.vocabulary, raw.rng)
