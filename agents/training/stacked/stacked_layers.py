"""Layers of the presets with the weights of several agents, as batched matrix products.

A layer of a small encoder takes longer to call than to compute; here one call serves all agents of a stack
(``experiments.benchmarks.steps.stacks``). The arithmetic is that of transformers' BERT and GPT-2 up to
the order of sums, and an agent's numbers do not depend on the other agents of its stack.

Legend: A agents, B texts, T tokens, W width, H heads, K width of a head, I inputs and O outputs of a layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PretrainedConfig

Weights = Mapping[str, Tensor]
"""Weights of the layers, `[A, ...]` each, by their names in the backbone."""
Drops = Iterator[Tensor]
"""Factors of dropout, `[A, B, T, W]` each, in the order of the forward pass; none without dropout."""


class StackedLayers(ABC):
    """Everything of a backbone above the sum of its embeddings.

    Args:
        config: architecture of a preset.

    Attributes:
        words, positions, types: names of the embedding tables; an architecture without types has None.
    """

    words: ClassVar[str]
    positions: ClassVar[str]
    types: ClassVar[str | None] = None

    def __init__(self, config: PretrainedConfig) -> None:
        self.layers = int(config.num_hidden_layers)
        self.heads = int(config.num_attention_heads)

    @property
    def drops(self) -> int:
        """Places of dropout in a pass: behind the embeddings, and two in each layer."""
        return 1 + 2 * self.layers

    @abstractmethod
    def __call__(self, weights: Weights, x_ABTW: Tensor, mask_ABT: Tensor, drops: Drops) -> Tensor:
        """Return the last states `[A, B, T, W]`.

        Args:
            weights: weights of the agents.
            x_ABTW: sums of the embeddings.
            mask_ABT: bool, true at tokens that are attended to.
            drops: factors of dropout.
        """


class BertLayers(StackedLayers):
    """The layers of a BERT."""

    words = "embeddings.word_embeddings.weight"
    positions = "embeddings.position_embeddings.weight"
    types = "embeddings.token_type_embeddings.weight"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self._epsilon = float(config.layer_norm_eps)

    def __call__(self, weights: Weights, x_ABTW: Tensor, mask_ABT: Tensor, drops: Drops) -> Tensor:
        """Return the last states; see `StackedLayers`."""
        x_ABTW = _drop(self._norm(weights, "embeddings.LayerNorm", x_ABTW), drops)
        for index in range(self.layers):
            at = f"encoder.layer.{index}"
            queries, keys, values = (
                _linear(weights, f"{at}.attention.self.{name}", x_ABTW)
                for name in ("query", "key", "value")
            )
            mixed_ABTW = _attend(queries, keys, values, mask_ABT[:, :, None, :], self.heads)
            mixed_ABTW = _drop(_linear(weights, f"{at}.attention.output.dense", mixed_ABTW), drops)
            x_ABTW = self._norm(weights, f"{at}.attention.output.LayerNorm", mixed_ABTW + x_ABTW)
            hidden = F.gelu(_linear(weights, f"{at}.intermediate.dense", x_ABTW))
            hidden = _drop(_linear(weights, f"{at}.output.dense", hidden), drops)
            x_ABTW = self._norm(weights, f"{at}.output.LayerNorm", hidden + x_ABTW)
        return x_ABTW

    def _norm(self, weights: Weights, name: str, x_ABTW: Tensor) -> Tensor:
        return _norm(weights, name, x_ABTW, self._epsilon)


class Gpt2Layers(StackedLayers):
    """The layers of a GPT-2."""

    words = "wte.weight"
    positions = "wpe.weight"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self._epsilon = float(config.layer_norm_epsilon)

    def __call__(self, weights: Weights, x_ABTW: Tensor, mask_ABT: Tensor, drops: Drops) -> Tensor:
        """Return the last states; see `StackedLayers`."""
        x_ABTW, allowed_ABTT = _drop(x_ABTW, drops), _causal(mask_ABT)
        for index in range(self.layers):
            at = f"h.{index}"
            normed_ABTW = self._norm(weights, f"{at}.ln_1", x_ABTW)
            parts = _convolve(weights, f"{at}.attn.c_attn", normed_ABTW)
            queries, keys, values = parts.chunk(3, dim=-1)
            mixed_ABTW = _attend(queries, keys, values, allowed_ABTT, self.heads)
            mixed_ABTW = _drop(_convolve(weights, f"{at}.attn.c_proj", mixed_ABTW), drops)
            x_ABTW = mixed_ABTW + x_ABTW
            normed_ABTW = self._norm(weights, f"{at}.ln_2", x_ABTW)
            hidden = _convolve(weights, f"{at}.mlp.c_fc", normed_ABTW)
            hidden = _convolve(weights, f"{at}.mlp.c_proj", F.gelu(hidden, approximate="tanh"))
            x_ABTW = x_ABTW + _drop(hidden, drops)
        return self._norm(weights, "ln_f", x_ABTW)

    def _norm(self, weights: Weights, name: str, x_ABTW: Tensor) -> Tensor:
        return _norm(weights, name, x_ABTW, self._epsilon)


LAYERS: dict[str, type[StackedLayers]] = {"bert": BertLayers, "gpt2": Gpt2Layers}
"""Stacked layers by transformers' ``model_type``."""


def _linear(weights: Weights, name: str, x_ABTI: Tensor) -> Tensor:
    """Apply a `torch.nn.Linear`, whose weight is `[A, O, I]`."""
    return _product(weights[f"{name}.weight"].mT, weights[f"{name}.bias"], x_ABTI)


def _convolve(weights: Weights, name: str, x_ABTI: Tensor) -> Tensor:
    """Apply a `Conv1D` of GPT-2, whose weight is `[A, I, O]`."""
    return _product(weights[f"{name}.weight"], weights[f"{name}.bias"], x_ABTI)


def _product(weight_AIO: Tensor, bias_AO: Tensor, x_ABTI: Tensor) -> Tensor:
    rows_ANI = x_ABTI.flatten(1, 2)
    return torch.baddbmm(bias_AO[:, None], rows_ANI, weight_AIO).view(*x_ABTI.shape[:3], -1)


def _norm(weights: Weights, name: str, x_ABTW: Tensor, epsilon: float) -> Tensor:
    normed_ABTW = F.layer_norm(x_ABTW, x_ABTW.shape[-1:], eps=epsilon)
    scale, bias = (weights[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return torch.addcmul(bias, normed_ABTW, scale)


def _attend(
    queries_ABTW: Tensor, keys_ABTW: Tensor, values_ABTW: Tensor, allowed: Tensor, heads: int
) -> Tensor:
    """Attend within each text, `[A, B, T, W]`; `allowed` is bool, `[A, B, T or 1, T]`."""

    def by_head(x_ABTW: Tensor) -> Tensor:
        return x_ABTW.reshape(-1, x_ABTW.shape[2], heads, x_ABTW.shape[3] // heads).transpose(1, 2)

    mixed = F.scaled_dot_product_attention(
        by_head(queries_ABTW),
        by_head(keys_ABTW),
        by_head(values_ABTW),
        attn_mask=allowed.flatten(0, 1)[:, None],
    )
    return mixed.transpose(1, 2).reshape(queries_ABTW.shape)


def _causal(mask_ABT: Tensor) -> Tensor:
    """Return which tokens `[A, B, T, T]` each token attends to: those visible up to itself."""
    tokens = mask_ABT.shape[-1]
    before_TT = torch.ones(tokens, tokens, dtype=torch.bool, device=mask_ABT.device).tril()
    allowed_ABTT = before_TT & mask_ABT[:, :, None, :]
    # A token with nothing to attend to attends to all: its state is used nowhere, and must be finite.
    return allowed_ABTT | ~allowed_ABTT.any(dim=-1, keepdim=True)


def _drop(x_ABTW: Tensor, drops: Drops) -> Tensor:
    factors_ABTW = next(drops, None)
    return x_ABTW if factors_ABTW is None else x_ABTW * factors_ABTW
