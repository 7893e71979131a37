"""One pass of a stack through its layers, and back.

Legend: A agents, B texts, T tokens, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.text.collate import Padded
from agents.training.stacked.stacked_dropout import dropout_factors
from agents.training.stacked.stacked_layers import StackedLayers
from agents.training.stacked.stacked_weights import StackedEmbeddings, StackedWeights


@dataclass(frozen=True)
class Passed:
    """A pass whose gradient is still to come.

    Attributes:
        ids: `[A, B, T]`, the tokens.
        embedded: `[A, B, T, W]`, the sums of their embeddings, a leaf of the graph.
        states: `[A, B, T, W]`, attached to it.
        gradient: `[A, B, T, W]`, of the states, to be added to.
    """

    ids: Tensor
    embedded: Tensor
    states: Tensor
    gradient: Tensor

    def states_of(self, place: int) -> Tensor:
        """Return an agent's states `[B, T, W]` as a leaf, whose gradient adds up in this pass."""
        states_BTW = self.states[place].detach().requires_grad_()
        states_BTW.grad = self.gradient[place]
        return states_BTW


class StackedPass:
    """Passes of a stack of agents.

    Args:
        layers: layers of the architecture.
        weights: weights of the layers.
        embeddings: embedding tables.
        dropout: probability of dropout.
        pass_tokens: cost of a pass, by which the agents' own passes are divided; None for one pass.
    """

    def __init__(
        self,
        layers: StackedLayers,
        weights: StackedWeights,
        embeddings: StackedEmbeddings,
        dropout: float,
        pass_tokens: int | None,
    ) -> None:
        self._layers = layers
        self._weights = weights
        self._embeddings = embeddings
        self._dropout = dropout
        self._pass_tokens = pass_tokens

    def read(self, buffers: Sequence[Tensor]) -> None:
        """Read the weights from the agents' flat buffers `[P]`, which a step has changed."""
        self._weights.read(buffers)

    def forward(
        self, inputs: Sequence[Padded], longest: int, generators: Sequence[torch.Generator]
    ) -> Passed:
        """Encode a batch of every agent.

        Args:
            inputs: as many texts of each agent, all of type 0.
            longest: tokens that all are padded to.
            generators: the agents' generators of dropout.
        """
        device = generators[0].device
        shape = (len(inputs), len(inputs[0].lengths), longest)
        ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        for place, each in enumerate(inputs):
            width = each.input_ids.shape[1]
            ids[place, :, :width] = each.input_ids
            mask[place, :, :width] = each.attention_mask
        ids_ABT = torch.from_numpy(ids).to(device, non_blocking=True)
        mask_ABT = torch.from_numpy(mask).to(device, non_blocking=True)
        embedded_ABTW = self._embeddings.look_up(ids_ABT).requires_grad_()
        factors = dropout_factors(
            generators,
            [each.lengths for each in inputs],
            (self._layers.drops, *embedded_ABTW.shape[1:]),
            self._dropout,
            self._pass_tokens,
        )
        states_ABTW = self._layers(self._weights.views, embedded_ABTW, mask_ABT, factors).float()
        return Passed(ids_ABT, embedded_ABTW, states_ABTW, torch.zeros_like(states_ABTW))

    def backward(self, passed: Passed) -> None:
        """Add the gradient of a pass to the agents'."""
        leaves = [passed.embedded, *self._weights.views.values()]
        embedded_ABTW, *weights = torch.autograd.grad(passed.states, leaves, passed.gradient)
        self._weights.add(weights)
        self._embeddings.add(embedded_ABTW, passed.ids)
