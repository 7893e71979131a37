"""Telling two consecutive segments in order from the same two swapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from agents.objectives.base import Draft, LossOutput, Objective, Prepared, Step
from agents.objectives.pairs import ASIDE, classify, segments

if TYPE_CHECKING:
    from torch import nn

    from agents.models.encoder import Encoder

_HEAD = "sentence_order"


class SentenceOrder(Objective):
    """Sentence order: tell two consecutive segments from the same two swapped.

    ``CE(head(pooled), swapped?)``, swapped with probability 1/2. Segments are whole sentences where the
    document has several; see `agents.objectives.pairs.segments`. Documents of a single token are encoded,
    but not asked about. Both segments are the document's own, so the pooled states of the pairs are offered
    to exchanges.

    Source: Lan et al., ALBERT: A Lite BERT for Self-supervised Learning of Language Representations, 2020.
    """

    kind: Literal["sentence_order"] = "sentence_order"

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the classifier: pooled states to two logits, in order and swapped."""
        from torch import nn

        return {_HEAD: nn.Linear(encoder.width, 2)}

    def prepare(self, draft: Draft) -> Prepared:
        """Cut every document in two, and swap half of the pairs: label 1."""
        first, second, labels = [], [], []
        for text in draft.texts:
            pair = segments(text, draft.collate.pair_budget, draft.setting.vocabulary, draft.rng)
            swapped = bool(draft.rng.random() < 0.5)
            labels.append(ASIDE if len(text) == 1 else int(swapped))
            first.append(pair[swapped])
            second.append(pair[not swapped])
        return {"pairs": draft.collate.pair(first, second), "labels": np.array(labels)}

    def loss(self, step: Step) -> LossOutput:
        """Classify the pooled states of the pairs."""
        return classify(step, step.encoder.heads[_HEAD], "sentence_order_accuracy")
