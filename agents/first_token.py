"""The last layer of an encoder at the first token alone, where texts are pooled by it.

Of the last layer nothing else is asked for then. Keys and values are needed at every token; queries, the
output of attention, and the feed-forward layer, which is two thirds of a layer, at one. In an encoder of two
layers that saves 40 % of all matrix products. The result is the same but for rounding, and for what dropout
draws. FLOPs are estimated as if the layer were whole (`agentos.flops`).

Legend: B texts, T tokens, W width, H heads, K width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor

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
    heads = (attention.num_attention_heads, attention.attention_head_size)
    first_B1W = states_BTW[:, :1]
    mixed_BH1K = F.scaled_dot_product_attention(
        _split(attention.query(first_B1W), *heads),
        _split(attention.key(states_BTW), *heads),
        _split(attention.value(states_BTW), *heads),
        attn_mask=mask_BT[:, None, None, :].bool(),
        dropout_p=attention.dropout.p if layer.training else 0.0,
    )
    mixed_B1W = mixed_BH1K.transpose(1, 2).flatten(2)
    attended_B1W = layer.attention.output(mixed_B1W, first_B1W)
    states_B1W: Tensor = layer.output(layer.intermediate(attended_B1W), attended_B1W)
    return states_B1W


def _split(values: Tensor, heads: int, width: int) -> Tensor:
    """Turn `[B, T, W]` into `[B, H, T, K]`."""
    return values.view(*values.shape[:2], heads, width).transpose(1, 2)
