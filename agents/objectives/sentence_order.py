"""Classification of two consecutive segments against the same two swapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from agents.lazy_torch import nn
from agents.objectives.base import LossOutput, Objective, Prepared, RawBatch, Step
from agents.objectives.pairs import UNCLASSIFIED, classify, segments

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

_HEAD = "sentence_order"


class SentenceOrder(Objective):
    """Sentence order prediction (ALBERT, Lan et al. 2020): tell consecutive segments from swapped ones.

    ``CE(head(pooled), swapped?)``, swapped with probability 1/2. Segments are whole sentences where the
    document has several; see `agents.objectives.pairs.segments`. Documents of a single token are encoded,
    but not classified. Both segments are the document's own, so the pooled states of the pairs are offered
    to exchanges.

    Source: Lan et al., ALBERT: A Lite BERT for Self-supervised Learning of Language Representations, 2020.
    """

    kind: Literal["sentence_order"] = "sentence_order"

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the classifier: pooled states to two logits, in order and swapped."""
        return {_HEAD: nn.Linear(encoder.width, 2)}

    def prepare(self, raw: RawBatch) -> Prepared:
        """Cut every document in two, and swap half of the pairs: label 1."""
        first, second, labels = [], [], []
        for text in raw.texts:
            pair = segments(text, raw.collate.pair_budget, raw.setting.vocabulary, raw.rng)
            swapped = bool(raw.rng.random() < 0.5)
            labels.append(UNCLASSIFIED if len(text) == 1 else int(swapped))
            first.append(pair[swapped])
            second.append(pair[not swapped])
        return {"pairs": raw.collate.pair(first, second), "labels": np.array(labels)}

    def loss(self, step: Step) -> LossOutput:
        """Classify the pooled states of the pairs."""
        return classify(step, step.encoder.heads[_HEAD], "sentence_order_accuracy")
