"""What objectives share that write a text again from its embedding.

Legend: B documents, W width of the backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.objectives.base import Draft, Ratio, Step
from agents.text.collate import Padded
from agents.text.tokens import Text
from agents.views import Crop

if TYPE_CHECKING:
    from torch import Tensor

_WINDOW = Crop(shortest=1.0, longest=1.0)


def windows(draft: Draft) -> list[Text]:
    """Return of every document as much as the encoder reads: a random part of a longer one."""
    return [_WINDOW.apply(text, draft.setting, draft.rng) for text in draft.texts]


def target(draft: Draft, texts: Sequence[Text]) -> Padded:
    """Frame and pad texts for a decoder, to which the first token is given.

    Where the tokenizer puts nothing before a text, its padding token begins it, so that every token of the
    text is to be predicted; a text that fills the budget then loses its last.
    """
    start = [] if draft.collate.prefix else [draft.collate.padding_id]
    return draft.collate([np.concatenate([start, text.tokens]).astype(np.int64) for text in texts])


class Reconstruction(NamedTuple):
    """Sums over all tokens of a batch.

    Attributes:
        nats: ``-log p``, attached to the graph.
        right: tokens that were the most likely one.
        tokens: how many were predicted, at least one.
    """

    nats: Tensor
    right: Tensor
    tokens: Tensor

    def perplexity(self) -> Ratio:
        """Return the perplexity per token."""
        return Ratio(self.nats.detach(), self.tokens, exponential=True)


def reconstruct(step: Step, decoder: str, conditions_BW: Tensor) -> Reconstruction:
    """Write the texts of ``step.inputs["target"]`` from a vector each, in micro-batches where configured.

    Args:
        step: of the objective.
        decoder: name of the head; a `agents.models.decoder.TextDecoder`.
        conditions_BW: `[B, W]`.
    """
    head: Any = step.encoder.heads[decoder]
    nats, right, tokens = step.rowwise(head.score, step.inputs["target"], conditions_BW).sum(dim=0)
    return Reconstruction(nats, right.detach(), tokens.detach())
