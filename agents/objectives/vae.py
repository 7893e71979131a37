"""Reconstruction of a text from a latent variable of its embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents import lazy_models
from agents.lazy_torch import nn
from agents.objectives import latent
from agents.objectives.base import LossOutput, Objective, Prepared, Ratio, RawBatch, Step
from agents.objectives.reconstruction import reconstruct, target, windows

if TYPE_CHECKING:
    from agents.models.encoder import Encoder

_POSTERIOR, _LATENT, _DECODER = "vae_posterior", "vae_latent", "vae_decoder"


class VAE(Objective):
    """Text VAE (Bowman et al. 2016): reconstruct a text from a noisy latent code of its embedding.

    ``(-log p(text | z) + beta * KL) / tokens`` with ``z = mu + sigma * noise`` drawn from
    ``q(z | text) = N(mu, sigma^2)``, two linear maps of the pooled state, and ``KL = sum over dimensions of
    max(free_nats, KL(q || N(0, 1)))`` with means over the batch: the negative evidence lower bound in
    nats per token. ``beta`` rises from 0 to 1 over the first steps of the agent.

    A decoder may learn to ignore z; then the posterior collapses to the prior. Hence ``vae_active_units`` are
    reported (dimensions whose mu has a variance above 0.01 over the texts of a
    batch), and in ``vae_collapsed`` the share of batches in which no dimension is active. ``vae_kl`` is
    the plain KL, in nats per text. The pooled states, not the codes, are evaluated and offered to exchanges.

    Source: Bowman et al., Generating Sentences from a Continuous Space, 2016; Li et al., Optimus, 2020.
    """

    kind: Literal["vae"] = "vae"
    latent: int = Field(32, ge=1, le=65_536, description="Dimensions of the latent code.")
    layers: int = Field(1, ge=1, le=48, description="Layers of the decoder.")
    anneal_steps: int = Field(
        200, ge=0, description="Steps over which the weight of the KL rises from 0 to 1."
    )
    free_nats: float = Field(
        0.25, ge=0.0, description="KL of each latent dimension that costs nothing (free bits)."
    )

    def heads(self, encoder: Encoder) -> Mapping[str, nn.Module]:
        """Build the posterior, the map from a code to the width of a state, and the decoder."""
        return {
            _POSTERIOR: nn.Linear(encoder.width, 2 * self.latent),
            _LATENT: nn.Linear(self.latent, encoder.width),
            _DECODER: lazy_models.TextDecoder(encoder.backbone, self.layers),
        }

    def prepare(self, raw: RawBatch) -> Prepared:
        """Take a span of every document, and draw the noise of its code: the same on any device."""
        texts = windows(raw)
        noise = raw.rng.standard_normal((len(texts), self.latent), dtype=np.float32)
        return {"texts": raw.collate(texts), "target": target(raw, texts), "noise": noise}

    def loss(self, step: Step) -> LossOutput:
        """Encode the texts, draw their codes, and score the texts."""
        heads, texts = step.encoder.heads, step.inputs["texts"]
        pooled_BW = step.encode(texts)
        mean_BL, log_variance_BL = heads[_POSTERIOR](pooled_BW).float().chunk(2, dim=1)
        code_BL = mean_BL + (log_variance_BL / 2).exp() * step.inputs["noise"]
        written = reconstruct(step, _DECODER, heads[_LATENT](code_BL))
        kl_BL = latent.gaussian_kl(mean_BL, log_variance_BL)
        penalty = len(kl_BL) * latent.free_bits(kl_BL, self.free_nats)
        loss = (written.nats + self.annealed(step.index) * penalty) / written.tokens
        active = latent.active_units(mean_BL.detach())
        metrics = {
            "vae_kl": Ratio(kl_BL.sum().detach(), len(kl_BL)),
            "vae_reconstruction_perplexity": written.perplexity(),
            "vae_active_units": Ratio(active),
            "vae_collapsed": Ratio((active == 0).float()),
        }
        decoded = int(step.inputs["target"].lengths.sum())
        return LossOutput(loss, texts.lengths, (pooled_BW,), metrics, decoded)

    def annealed(self, index: int) -> float:
        """Return the weight of the KL after so many steps.

        Example:
            >>> [VAE(anneal_steps=4).annealed(index) for index in (0, 1, 4, 9)]
            [0.0, 0.25, 1.0, 1.0]
        """
        return min(1.0, index / self.anneal_steps) if self.anneal_steps else 1.0
