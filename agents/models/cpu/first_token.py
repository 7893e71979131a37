"""The last layer of a BERT run at the first token only, for encoders that pool by it.

Pooling by the first token needs one state of the last layer, so queries, the attention output and the
feed-forward layer run at that token. Keys and values of the other tokens are not computed either: with the
single query ``q`` of a head, the scores of states ``x_t`` are ``q . (A x_t + a) = (A^T q) . x_t + q . a``,
and the weighted values are ``sum_t p_t (B x_t + b) = B (sum_t p_t x_t) + b sum_t p_t``. The right-hand
sides take H / W of the multiplications. A training step of the preset tiny takes 0.55 to 0.6 of the time
(``experiments.benchmarks.steps.cpu_step``). The result is the same up to rounding and the dropout draws.
FLOPs are counted as if the whole layer ran (`agentos.preflight.flops`).

Legend: B texts, T tokens, W width, H heads, K width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
"""Model types whose layers are built like BERT's."""


def supports_first_token(backbone: PreTrainedModel) -> bool:
    """Return whether a backbone's last layer can be run at the first token only."""
    config = backbone.config
    # Some releases of transformers let attention depend on relative positions, which `_attend` leaves out.
    positions = getattr(config, "position_embedding_type", None) or "absolute"
    return config.model_type in FAMILIES and not config.is_decoder and positions == "absolute"


@contextmanager
def without_last_layer(backbone: Any) -> Iterator[Any]:
    """Remove the last layer of a backbone within the context, and yield that layer."""
    encoder, layers = backbone.encoder, backbone.encoder.layer
    encoder.layer = layers[:-1]
    try:
        yield layers[-1]
    finally:
        encoder.layer = layers


def at_first_token(layer: Any, states_BTW: Tensor, mask_BT: Tensor) -> Tensor:
    """Run one layer at the first token; return its states `[B, 1, W]`.

    Args:
        layer: a layer of a model type in `FAMILIES`.
        states_BTW: output of the previous layer.
        mask_BT: 1 at tokens that are attended to.
    """
    attention = layer.attention.self
    first_B1W = states_BTW[:, :1]
    # The products of `_attend` use only weight and bias; a layer with an adapter computes more than these.
    is_plain = type(attention.key) is type(attention.value) is nn.Linear
    attend = _attend if is_plain else _attend_to_keys
    mixed_B1W = attend(attention, states_BTW, mask_BT.bool()).unsqueeze(1)
    attended_B1W = layer.attention.output(mixed_B1W, first_B1W)
    states_B1W: Tensor = layer.output(layer.intermediate(attended_B1W), attended_B1W)
    return states_B1W


def _attend(attention: Any, states_BTW: Tensor, mask_BT: Tensor) -> Tensor:
    """Attend from the first token without keys and values, `[B, W]`; the algebra is at the top."""
    heads, width = attention.num_attention_heads, attention.attention_head_size

    def by_head(parameter: Tensor) -> Tensor:
        return parameter.view(heads, width, -1)

    query_HBK = attention.query(states_BTW[:, 0]).unflatten(-1, (heads, width)).transpose(0, 1)
    projected_query_HBW = query_HBK @ by_head(attention.key.weight)
    query_bias_HB1 = query_HBK @ by_head(attention.key.bias)
    scores_BHT = projected_query_HBW.transpose(0, 1) @ states_BTW.mT + query_bias_HB1.transpose(
        0, 1
    )
    scores_BHT = (scores_BHT / width**0.5).masked_fill(~mask_BT[:, None], -torch.inf)
    probabilities_BHT = attention.dropout(scores_BHT.softmax(dim=-1))
    mixed_states_HBW = (probabilities_BHT @ states_BTW).transpose(0, 1)
    weight_HKW, bias_HK1 = by_head(attention.value.weight), by_head(attention.value.bias)
    # Dropout rescales the probabilities, so their sum, which weighs the bias, need not be 1.
    total_HB1 = probabilities_BHT.sum(dim=-1).mT.unsqueeze(-1)
    mixed_HBK: Tensor = mixed_states_HBW @ weight_HKW.mT + total_HB1 * bias_HK1.mT
    return mixed_HBK.transpose(0, 1).flatten(1)


def _attend_to_keys(attention: Any, states_BTW: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the same as `_attend`, with keys and values of all tokens."""
    heads = (attention.num_attention_heads, attention.attention_head_size)
    mixed_BH1K = F.scaled_dot_product_attention(
        attention.query(states_BTW[:, :1]).unflatten(-1, heads).transpose(1, 2),
        attention.key(states_BTW).unflatten(-1, heads).transpose(1, 2),
        attention.value(states_BTW).unflatten(-1, heads).transpose(1, 2),
        attn_mask=mask_BT[:, None, None, :],
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    return mixed_BH1K.flatten(1)
