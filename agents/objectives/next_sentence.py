"""Telling the continuation of a text from a piece of another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from agents.objectives.base import Draft, LossOutput, Objective, Prepared, Step
from agents.objectives.pairs import ASIDE, classify, piece, segments

if TYPE_CHECKING:
    from torch import nn

    from agents.models.encoder import Encoder

_HEAD = "next_sentence"


class NextSentence(Objective):
    """Next sentence: tell what follows in a document from a piece of another one.

    ``CE(head(pooled), random?)``. With probability 1/2 the second segment is what follows the first in the
    document, otherwise it begins at a random sentence of another document of the batch. How documents are
    cut, those of a single sentence included: `agents.objectives.pairs`; neither the length of a random
    segment nor the place it begins at gives it away. Documents of a single token are encoded, but not asked
    about, and in a batch of one document nothing is random. No pooled states are offered to exchanges, since
    half of the pairs are of two documents.

    Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019.
    """

    kind: Literal["next_sentence"] = "next_sentence"

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the classifier: pooled states to two logits, consecutive and random."""
        from torch import nn

        return {_HEAD: nn.Linear(encoder.width, 2)}

    def prepare(self, draft: Draft) -> Prepared:
        """Cut every document in two, and replace half of the second segments: label 1."""
        first, second, labels = [], [], []
        for row, text in enumerate(draft.texts):
            start, following = segments(
                text, draft.collate.pair_budget, draft.setting.vocabulary, draft.rng
            )
            random = len(draft.texts) > 1 and bool(draft.rng.random() < 0.5)
            labels.append(ASIDE if len(text) == 1 else int(random))
            first.append(start)
            second.append(_elsewhere(draft, row, len(following)) if random else following)
        return {"pairs": draft.collate.pair(first, second), "labels": np.array(labels)}

    def loss(self, step: Step) -> LossOutput:
        """Classify the pooled states of the pairs."""
        result = classify(step, step.encoder.heads[_HEAD], "next_sentence_accuracy")
        return replace(result, pooled=())


def _elsewhere(draft: Draft, row: int, length: int) -> np.ndarray:
    """Return a piece of another document."""
    other = (row + int(draft.rng.integers(1, len(draft.texts)))) % len(draft.texts)
    return piece(draft.texts[other], length, draft.setting.vocabulary, draft.rng)
