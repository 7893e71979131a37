"""Writing a text again from the embedding of a corrupted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from agents.objectives.base import Draft, Objected, Objective, Prepared, Ratio, Step
from agents.objectives.reconstruction import reconstruct, target, windows
from agents.text import Text
from agents.views import VIEWS, View, compose
from protocols.spec import Kinds

if TYPE_CHECKING:
    from torch import nn

    from agents.encoder import Encoder

_DECODER = "denoising_decoder"
_DELETED = 0.6


class Denoising(Objective):
    """Denoising (TSDAE): write a text again from the pooled state of a corrupted one.

    ``mean over tokens of -log p(token | tokens before it, pooled(corrupted text))``. The decoder sees the
    encoder's work through one vector, so that vector must hold what the text says. Of documents longer than
    the encoder reads, a random part is learnt from. The pooled states of the corrupted texts are offered
    to exchanges.

    Source: Wang et al., TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised
    Sentence Embedding Learning, 2021.
    """

    kind: Literal["denoising"] = "denoising"
    noise: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (),
        description="Views that corrupt the text; by default each word goes with probability 0.6.",
    )
    layers: int = Field(1, ge=1, le=48, description="Layers of the decoder.")

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the decoder; its word embeddings are the encoder's."""
        from agents.decoder import TextDecoder

        return {_DECODER: TextDecoder(encoder.backbone, self.layers)}

    def prepare(self, draft: Draft) -> Prepared:
        """Take a part of every document, and corrupt it."""
        texts = windows(draft)
        return {
            "corrupted": draft.collate([self._corrupt(text, draft) for text in texts]),
            "target": target(draft, texts),
        }

    def loss(self, step: Step) -> Objected:
        """Encode the corrupted texts, and score the original ones."""
        corrupted = step.inputs["corrupted"]
        pooled = step.encode(corrupted)
        written = reconstruct(step, _DECODER, pooled)
        metrics = {
            "denoising_accuracy": Ratio(written.right, written.tokens),
            "denoising_perplexity": written.perplexity(),
        }
        return Objected(written.nats / written.tokens, corrupted.lengths, (pooled,), metrics)

    def _corrupt(self, text: Text, draft: Draft) -> Text:
        if self.noise:
            return compose(self.noise, text, draft.setting, draft.rng)
        return _delete_words(text, draft)


def _delete_words(text: Text, draft: Draft) -> Text:
    """Leave each word out with probability 0.6; one stays."""
    starts = draft.setting.vocabulary.words(text.tokens)
    kept = draft.rng.random(len(starts)) >= _DELETED
    if not kept.any():
        kept[draft.rng.integers(0, len(starts))] = True
    return text.keep(np.repeat(kept, np.diff(starts, append=len(text))))
