"""Common part of the objectives that reconstruct a text from its embedding.

Legend: B documents, W width of the backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.lazy_torch import Tensor
from agents.objectives.base import Ratio, RawBatch, Step
from agents.text.collate import Padded
from agents.text.tokens import Text
from agents.views import Crop

_WINDOW = Crop(shortest=1.0, longest=1.0)


def windows(raw: RawBatch) -> list[Text]:
    """Return the documents, cutting longer texts to a random span of the encoder's maximum length."""
    return [_WINDOW.apply(text, raw.setting, raw.rng) for text in raw.texts]


def target(raw: RawBatch, texts: Sequence[Text]) -> Padded:
    """Add special tokens and pad texts for a decoder, which predicts all tokens but the first.

    If the tokenizer puts nothing before a text, the padding token is put there, so that every token of the
    text is predicted; a text that fills the budget then loses its last.
    """
    start = [] if raw.collate.prefix else [raw.collate.padding_id]
    return raw.collate([np.concatenate([start, text.tokens]).astype(np.int64) for text in texts])


class Reconstruction(NamedTuple):
    """Sums over all tokens of a batch.

    Attributes:
        nats: ``-log p``, attached to the graph.
        right: tokens that had the highest probability.
        tokens: number of predicted tokens, at least one.
    """

    nats: Tensor
    right: Tensor
    tokens: Tensor

    def perplexity(self) -> Ratio:
        """Return the perplexity per token."""
        return Ratio(self.nats.detach(), self.tokens, exponential=True)


def reconstruct(step: Step, decoder: str, conditions_BW: Tensor) -> Reconstruction:
    """Score the texts of ``step.inputs["target"]`` given a vector each, in micro-batches where configured.

    Args:
        step: the step to compute the loss of.
        decoder: name of the head; a `agents.models.heads.text_decoder.TextDecoder`.
        conditions_BW: `[B, W]`.
    """
    head: Any = step.encoder.heads[decoder]
    nats, right, tokens = step.rowwise(head.score, step.inputs["target"], conditions_BW).sum(dim=0)
    return Reconstruction(nats, right.detach(), tokens.detach())
