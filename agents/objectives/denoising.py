"""Writing a text again from the embedding of a corrupted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from agents.objectives.base import Draft, LossOutput, Objective, Prepared, Ratio, Step
from agents.objectives.reconstruction import reconstruct, target, windows
from agents.views import VIEWS, View, WordDeletion, compose
from protocols.spec import Kinds

if TYPE_CHECKING:
    from torch import nn

    from agents.models.encoder import Encoder

_DECODER = "denoising_decoder"


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
        (WordDeletion(p=0.6),), min_length=1, description="Views that corrupt the text."
    )
    layers: int = Field(1, ge=1, le=48, description="Layers of the decoder.")

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the decoder; its word embeddings are the encoder's."""
        from agents.models.decoder import TextDecoder

        return {_DECODER: TextDecoder(encoder.backbone, self.layers)}

    def prepare(self, draft: Draft) -> Prepared:
        """Take a part of every document, and corrupt it."""
        texts = windows(draft)
        return {
            "corrupted": draft.collate(
                [compose(self.noise, text, draft.setting, draft.rng) for text in texts]
            ),
            "target": target(draft, texts),
        }

    def loss(self, step: Step) -> LossOutput:
        """Encode the corrupted texts, and score the original ones."""
        corrupted = step.inputs["corrupted"]
        pooled = step.encode(corrupted)
        written = reconstruct(step, _DECODER, pooled)
        metrics = {
            "denoising_accuracy": Ratio(written.right, written.tokens),
            "denoising_perplexity": written.perplexity(),
        }
        return LossOutput(
            written.nats / written.tokens,
            corrupted.lengths,
            (pooled,),
            metrics,
            decoder_tokens=int(step.inputs["target"].lengths.sum()),
        )
