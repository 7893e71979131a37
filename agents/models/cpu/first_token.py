"""The last layer of an encoder at the first token alone, where texts are pooled by it.

Of the last layer nothing else is asked for then: queries, the output of attention and the feed-forward layer
run at one token. Not even keys and values are made of the others. With the one query ``q`` of a head, the
scores of states ``x_t`` are ``q . (A x_t + a) = (A^T q) . x_t + q . a``, and what is attended to is
``sum_t p_t (B x_t + b) = B (sum_t p_t x_t) + b sum_t p_t``; the right sides take H / W of the products. In an
encoder of two layers that saves nearly half of all matrix products. The result is the same but for rounding,
and for what dropout draws. FLOPs are estimated as if the layer were whole (`agentos.preflight.flops`).

Legend: B texts, T tokens, W width, H heads, K width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
"""Model types with a layer such as BERT's."""


def can_be_cut(backbone: PreTrainedModel) -> bool:
    """Return whether a backbone's last layer can be run at the first token alone."""
    config = backbone.config
    # In some releases attention may see distances, which is not done here.
    positions = getattr(config, "position_embedding_type", None) or "absolute"
    return config.model_type in FAMILIES and not config.is_decoder and positions == "absolute"


@contextmanager
def without_last_layer(backbone: Any) -> Iterator[Any]:
    """Take the last layer out of a backbone for as long as the context lasts; yield that layer."""
    encoder, layers = backbone.encoder, backbone.encoder.layer
    encoder.layer = layers[:-1]
    try:
        yield layers[-1]
    finally:
        encoder.layer = layers


def at_first_token(layer: Any, states_BTW: Tensor, mask_BT: Tensor) -> Tensor:
    """Run a layer of BERT's kind at the first token; return its states `[B, 1, W]`.

    Args:
        layer: of a family that is listed here.
        states_BTW: of the layer before.
        mask_BT: 1 at tokens that are attended to.
    """
    attention = layer.attention.self
    first_B1W = states_BTW[:, :1]
    # A layer with an adapter, or one that rounds, is more than its weight.
    is_plain = type(attention.key) is type(attention.value) is nn.Linear
    attend = _attend if is_plain else _attend_to_keys
    mixed_B1W = attend(attention, states_BTW, mask_BT.bool()).unsqueeze(1)
    attended_B1W = layer.attention.output(mixed_B1W, first_B1W)
    states_B1W: Tensor = layer.output(layer.intermediate(attended_B1W), attended_B1W)
    return states_B1W


def _attend(attention: Any, states_BTW: Tensor, mask_BT: Tensor) -> Tensor:
    """Return what the first tokens attend to, `[B, W]`; see above."""
    heads, width = attention.num_attention_heads, attention.attention_head_size

    def by_head(parameter: Tensor) -> Tensor:
        return parameter.view(heads, width, -1)

    query_HBK = attention.query(states_BTW[:, 0]).unflatten(-1, (heads, width)).transpose(0, 1)
    asked_HBW = query_HBK @ by_head(attention.key.weight)
    alike_HB1 = query_HBK @ by_head(attention.key.bias)
    scores_BHT = asked_HBW.transpose(0, 1) @ states_BTW.mT + alike_HB1.transpose(0, 1)
    scores_BHT = (scores_BHT / width**0.5).masked_fill(~mask_BT[:, None], -torch.inf)
    shares_BHT = attention.dropout(scores_BHT.softmax(dim=-1))
    read_HBW = (shares_BHT @ states_BTW).transpose(0, 1)
    weight_HKW, bias_HK1 = by_head(attention.value.weight), by_head(attention.value.bias)
    total_HB1 = shares_BHT.sum(dim=-1).mT.unsqueeze(-1)
    mixed_HBK: Tensor = read_HBW @ weight_HKW.mT + total_HB1 * bias_HK1.mT
    return mixed_HBK.transpose(0, 1).flatten(1)


def _attend_to_keys(attention: Any, states_BTW: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the same as `_attend` by keys and values of all tokens."""
    heads = (attention.num_attention_heads, attention.attention_head_size)
    mixed_BH1K = F.scaled_dot_product_attention(
        attention.query(states_BTW[:, :1]).unflatten(-1, heads).transpose(1, 2),
        attention.key(states_BTW).unflatten(-1, heads).transpose(1, 2),
        attention.value(states_BTW).unflatten(-1, heads).transpose(1, 2),
        attn_mask=mask_BT[:, None, None, :],
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    return mixed_BH1K.flatten(1)
