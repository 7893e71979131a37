"""Language encoders: a Hugging Face backbone, a pooling, and heads.

Legend: B texts in a batch, T tokens, M tokens to be predicted in all texts, W width of the backbone, D width
of a head, V size of the vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.models.cpu.first_token import at_first_token, supports_first_token, without_last_layer
from agents.models.language_head import LanguageHead, token_losses
from agents.text.batch import Batch
from agents.text.masking import IGNORED


class Encoder(nn.Module):
    """Maps texts to vectors, and carries the heads that objectives and exchanges train with the backbone.

    Args:
        backbone: any `transformers` encoder or decoder.
        pooling: ``mean`` over the tokens of a text, its first token (``cls``), or its ``last``.
        projection: width of the two-layer MLP head that contrastive objectives train; 0 for none
            (Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020).
        exchange_dimension: common width for agents whose backbones differ in width; 0 if all agree.
        classes: size of the classifier that pseudo-labels train; 0 for none.
        language_head: head for masked or causal language modelling, or None.

    Attributes:
        heads: further heads of objectives, by name; see `Objective.heads`.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        pooling: str = "mean",
        projection: int = 0,
        exchange_dimension: int = 0,
        classes: int = 0,
        language_head: LanguageHead | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.width = int(backbone.config.hidden_size)
        self.projection: nn.Module = _mlp(self.width, projection) if projection else nn.Identity()
        self.exchange_head: nn.Module = (
            nn.Linear(self.width, exchange_dimension) if exchange_dimension else nn.Identity()
        )
        self.classifier: nn.Module = nn.Linear(self.width, classes) if classes else nn.Identity()
        self.language_head = language_head
        self.heads = nn.ModuleDict()
        self._accepts = frozenset(inspect.signature(type(backbone).forward).parameters)
        # RoBERTa has a single type, and GPT-2 would take types for token ids.
        types = getattr(backbone.config, "type_vocab_size", None) or 0
        self._uses_types = "token_type_ids" in self._accepts and types > 1
        _freeze_unused(backbone)

    def add_heads(self, heads: Mapping[str, nn.Module]) -> None:
        """Add heads by name.

        Raises:
            ValueError: a name is taken.
        """
        for name, head in heads.items():
            if name in self.heads:
                raise ValueError(f"two objectives ask for a head called {name!r}")
            self.heads[name] = head

    def states(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Encode a batch into token states.

        Args:
            input_ids: `[B, T]` int64.
            attention_mask: `[B, T]`, 1 at tokens that are attended to; padding is on the right.
            token_type_ids: `[B, T]`, 1 in the second text of a pair; ignored by backbones without them.

        Returns:
            `[B, T, W]`, float32.
        """
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and self._uses_types:
            inputs["token_type_ids"] = token_type_ids
        if "use_cache" in self._accepts:  # decoders would keep keys and values for generation
            inputs["use_cache"] = False
        states: Tensor = self.backbone(**inputs).last_hidden_state
        return states.float()  # autocast returns bfloat16

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Encode a batch into pooled states `[B, W]`, float32, not normalised; see `states`."""
        # Only the first token passes the last layer, half of the work of an encoder of two layers.
        if self.pooling == "cls" and supports_first_token(self.backbone):
            with without_last_layer(self.backbone) as layer:
                states_BTW = self.states(input_ids, attention_mask, token_type_ids)
            return at_first_token(layer, states_BTW, attention_mask)[:, 0].float()
        states_BTW = self.states(input_ids, attention_mask, token_type_ids)
        return pool(states_BTW, attention_mask, self.pooling)

    def pool_batch(self, batch: Batch) -> Tensor:
        """Encode a batch into pooled states `[B, W]`."""
        if batch.states is not None:
            return pool(batch.states, batch.attention_mask, self.pooling)
        pooled: Tensor = self(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        return pooled

    def predict_tokens(self, batch: Batch, labels_BT: Tensor, with_pooled: bool = False) -> Tensor:
        """Predict the labelled tokens of a batch with the language-model head.

        Args:
            batch: B texts.
            labels_BT: the true token where the state predicts one, `agents.text.masking.IGNORED` elsewhere;
                may be wider than the batch, as a micro-batch has no more padding than it needs.
            with_pooled: append the pooled states, at no extra cost.

        Returns:
            One row per text, `[B, 2]` or `[B, 2 + W]`: the summed ``-log p`` in nats, attached to the graph,
            the number of predictions whose most probable token was right, and the pooled state.
        """
        assert self.language_head is not None
        labels_BT = labels_BT[:, : batch.input_ids.shape[1]]
        states_BTW = batch.states
        if states_BTW is None:
            states_BTW = self.states(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        predicted_BT = labels_BT != IGNORED
        # Logits over the vocabulary are the main cost, so only the states of labelled tokens pass the head.
        logits_MV = self.language_head(states_BTW[predicted_BT])
        nll_M, correct_M = token_losses(logits_MV, labels_BT[predicted_BT])
        zeros_BT = torch.zeros(labels_BT.shape, device=nll_M.device)
        columns = [
            zeros_BT.masked_scatter(predicted_BT, values_M).sum(dim=1, keepdim=True)
            for values_M in (nll_M, correct_M)
        ]
        if with_pooled:
            columns.append(pool(states_BTW, batch.attention_mask, self.pooling))
        return torch.cat(columns, dim=1)


def pool(states_BTW: Tensor, mask_BT: Tensor, pooling: str) -> Tensor:
    """Pool token states `[B, T, W]` into `[B, W]` over the tokens where a mask `[B, T]` is 1."""
    if pooling == "cls":
        return states_BTW[:, 0]
    if pooling == "last":
        # Hidden tokens leave holes in the mask, so its sum is not the place of the last visible token.
        places_T = torch.arange(1, mask_BT.shape[1] + 1, device=mask_BT.device)
        last_B = (mask_BT * places_T).argmax(dim=1)
        return states_BTW[torch.arange(len(states_BTW), device=states_BTW.device), last_B]
    weights_BT1 = mask_BT.unsqueeze(-1).to(states_BTW.dtype)
    return (states_BTW * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1).clamp(min=1.0)


def _freeze_unused(backbone: nn.Module) -> None:
    """Freeze BERT's pooler: it gets no gradient, so it would only decay, and cost bytes to exchange."""
    pooler = getattr(backbone, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)


def _mlp(width: int, projection: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))
