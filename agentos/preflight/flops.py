r"""Floating-point operations of a run, estimated from its tokens.

A multiplication and an addition are two operations. For an encoder of \(N\) parameters without its
embedding tables, \(L\) layers and width \(W\), a token of a text of \(T\) tokens costs

\[ 2N + 4LWT \]

without a gradient (each parameter is used once; attention compares it with \(T\) tokens and mixes them),
and three times that with one: the backward pass is twice the forward pass. Left out: embedding tables, which
are looked up; heads, which work on texts and not on tokens, except those of language models; optimizers; the
losses. For encoders that are trained in part it is an upper bound.

PyTorch's `FlopCounterMode` agrees within two per cent (a test holds that), but has to run the model for every
length of text; the estimate of a clock is needed for each length, and before anything runs.

Source: Kaplan et al., Scaling Laws for Neural Language Models, 2020, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agents import lazy_models
from agents.config import EncoderConfig
from agents.lazy_torch import torch


class Size(NamedTuple):
    """Size of an encoder, on which the cost of a token depends.

    Attributes:
        parameters: without embedding tables and without BERT's pooler, which is bypassed.
        layers: blocks with attention.
        width: of a token's state.
    """

    parameters: int
    layers: int
    width: int

    def flops(self, length: int, trained: int, embedded: int = 0) -> int:
        """Return the operations for so many tokens.

        Args:
            length: tokens of a text; where texts differ, of the longest, for an upper bound.
            trained: tokens that went through the encoder with a gradient.
            embedded: tokens that went through it without.

        Example:
            >>> Size(parameters=1000, layers=1, width=10).flops(length=5, trained=2, embedded=1)
            15400
        """
        forward = 2 * self.parameters + 4 * self.layers * self.width * length
        return forward * (3 * trained + embedded)


def sizes_of(encoders: Sequence[EncoderConfig]) -> dict[int, Size]:
    """Return the size of each agent's encoder, agents numbered in the order of their encoders."""
    by_encoder = {encoder: size_of(encoder) for encoder in set(encoders)}
    return {agent: by_encoder[encoder] for agent, encoder in enumerate(encoders)}


def size_of(encoder: EncoderConfig) -> Size:
    """Return the size of an encoder, without building it in memory.

    Raises:
        ModelError: the folder or name of a pretrained encoder cannot be read.
    """
    # The vocabulary shows in the embedding tables only, which are left out.
    backbone = lazy_models.meta_backbone(encoder, vocabulary_size=1)
    tables = {
        id(parameter)
        for module in backbone.modules()
        if isinstance(module, torch.nn.Embedding)
        for parameter in module.parameters()
    }
    parameters = sum(
        parameter.numel()
        for name, parameter in backbone.named_parameters()
        if id(parameter) not in tables and not name.startswith("pooler.")
    )
    return Size(parameters, backbone.config.num_hidden_layers, backbone.config.hidden_size)
