"""A language encoder and a linear classifier, loaded by transformers from the folder that this file is in.

    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, trust_remote_code=True)

AgentOS copies this file next to the weights; it needs PyTorch and transformers alone.

Legend: B texts, T tokens, W width of the encoder, K classes.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class TextClassifierConfig(PretrainedConfig):
    """Configuration of a `TextClassifier`.

    Args:
        backbone: configuration of the encoder, with its model type.
        backbone_class: name of the encoder's class in transformers.
        pooling: ``mean`` over the tokens of a text, its first token (``cls``), or its ``last``.
    """

    model_type = "agentos_text_classifier"

    def __init__(
        self,
        backbone: dict[str, Any] | None = None,
        backbone_class: str = "",
        pooling: str = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone or {}
        self.backbone_class = backbone_class
        self.pooling = pooling


class TextClassifier(PreTrainedModel):
    """Class scores of texts: linear in the direction in which a text differs from the mean text."""

    config_class = TextClassifierConfig
    base_model_prefix = "backbone"

    def __init__(self, config: TextClassifierConfig) -> None:
        super().__init__(config)
        backbone = AutoConfig.for_model(**config.backbone)
        self.backbone = getattr(transformers, config.backbone_class)(backbone)
        width = int(backbone.hidden_size)
        self.linear = nn.Linear(width, len(config.id2label or {}))
        self.register_buffer("mean", torch.zeros(width))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Classify tokens `[B, T]`, padded on the right; the loss is a mean over texts with labels `[B]`.

        Token types are ignored: every text is a single one.
        """
        mask_BT = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states_BTW = self.backbone(input_ids=input_ids, attention_mask=mask_BT).last_hidden_state
        pooled_BW = _pool(states_BTW.float(), mask_BT, self.config.pooling)
        mean_W = cast(Tensor, self.mean).float()
        centred_BW = F.normalize(pooled_BW - mean_W, dim=-1) * len(mean_W) ** 0.5
        logits_BK = self.linear(centred_BW.to(self.linear.weight.dtype))
        loss = None if labels is None else F.cross_entropy(logits_BK, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits_BK)


def _pool(states_BTW: Tensor, mask_BT: Tensor, pooling: str) -> Tensor:
    """Pool token states into `[B, W]` over the tokens where the mask is 1."""
    if pooling == "cls":
        return states_BTW[:, 0]
    if pooling == "last":
        last_B = mask_BT.sum(dim=1) - 1
        return states_BTW[torch.arange(len(states_BTW), device=states_BTW.device), last_B]
    weights_BT1 = mask_BT.unsqueeze(-1).to(states_BTW.dtype)
    return (states_BTW * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1).clamp(min=1.0)
