"""Reconstruction of a text from the embedding of a corrupted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from agents import lazy_models
from agents.lazy_torch import nn
from agents.objectives.base import LossOutput, Objective, Prepared, Ratio, RawBatch, Step
from agents.objectives.reconstruction import reconstruct, target, windows
from agents.views import VIEWS, View, WordDeletion, compose
from protocols.spec import Kinds

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

_DECODER = "denoising_decoder"


class Denoising(Objective):
    """TSDAE (Wang et al. 2021): reconstruct a text from the pooled state of a corrupted one.

    ``mean over tokens of -log p(token | tokens before it, pooled(corrupted text))``. The decoder is
    conditioned on a single vector, which must therefore hold the content of the text. Documents longer than
    the encoder reads are cut to a random span. The pooled states of the corrupted texts are offered to
    exchanges.

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
        return {_DECODER: lazy_models.TextDecoder(encoder.backbone, self.layers)}

    def prepare(self, raw: RawBatch) -> Prepared:
        """Take a span of every document, and corrupt it."""
        texts = windows(raw)
        return {
            "corrupted": raw.collate(
                [compose(self.noise, text, raw.setting, raw.rng) for text in texts]
            ),
            "target": target(raw, texts),
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
