"""The head of a language model without its backbone, for any Hugging Face architecture, and its loss.

Logits are the largest tensor of a language model. PyTorch's cross-entropy copies them to float32 under
autocast, and keeps their log-probabilities for the gradient. Here they stay in their own precision, and what
is derived from them fits the cache: on a CPU, 2,048 tokens of 8,192 words take 0.55 of the time in bfloat16
and 0.84 in float32, their products included; logits that fit the cache anyway take a twentieth more
(``experiments.benchmarks.steps.token_losses``).

Legend: M states or tokens, R of them in a part, W width of the backbone, V size of the vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from agents.config import LanguageModelKind
from protocols.errors import ModelError

_ROWS = 64
"""Tokens whose probabilities are computed at once."""
_CLASSES: dict[str, Any] = {"masked": AutoModelForMaskedLM, "causal": AutoModelForCausalLM}


def kind_of(config: PretrainedConfig) -> LanguageModelKind | None:
    """Return the kind of language model that an architecture can be; None for neither."""
    is_decoder = getattr(config, "is_decoder", False)
    if type(config) in AutoModelForMaskedLM._model_mapping and not is_decoder:
        return "masked"
    return "causal" if type(config) in AutoModelForCausalLM._model_mapping else None


def saved_kind(config: PretrainedConfig) -> LanguageModelKind | None:
    """Return the kind of language model that saved weights belong to; None for a plain backbone."""
    names = " ".join(config.architectures or ())
    if not any(name in names for name in ("MaskedLM", "ForPreTraining", "CausalLM", "LMHead")):
        return None
    return kind_of(config)


class _IdentityBackbone(nn.Module):
    """Replaces the backbone of a language model and returns its input as the last hidden states."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Any:
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=inputs_embeds)


class LanguageHead(nn.Module):
    """Maps token states to logits with the layers that a language model has above its backbone.

    The caller chooses the states, such as those of masked tokens only. The output embedding stays tied to
    the backbone's input embedding if the architecture ties them.

    Args:
        model: a language model; its backbone is replaced.
        kind: masked or causal.
    """

    def __init__(self, model: PreTrainedModel, kind: LanguageModelKind) -> None:
        super().__init__()
        self.kind = kind
        self.model = model
        setattr(model, model.base_model_prefix, _IdentityBackbone())

    @classmethod
    def of(
        cls,
        backbone: PreTrainedModel,
        kind: LanguageModelKind,
        origin: str | None,
        *,
        trust_remote_code: bool = False,
    ) -> LanguageHead:
        """Build the head for a backbone, or load it from the folder or name of the model.

        Args:
            backbone: keeps its weights; tied embeddings are tied to it.
            kind: masked or causal.
            origin: folder or name of the model, whose head is loaded if it has one; None for a new head.
            trust_remote_code: whether the folder's own Python code may run.

        Raises:
            ModelError: the architecture has no such head.
        """
        auto = _CLASSES[kind]
        if kind != kind_of(backbone.config):
            raise ModelError(
                f"a {backbone.config.model_type} has no {kind} language-model head",
                expected="an encoder, such as BERT, for masked; a decoder, such as GPT-2, for causal",
                actual=backbone.config.model_type,
                hint="choose another encoder or another objective",
            )
        if origin is None:
            model = auto.from_config(backbone.config, trust_remote_code=trust_remote_code)
        else:
            model = auto.from_pretrained(
                origin,
                config=backbone.config,
                local_files_only=Path(origin).is_dir(),
                trust_remote_code=trust_remote_code,
                dtype=torch.float32,
            )
        # The model came with a backbone of its own. Tying after the exchange ties the head to this one.
        setattr(model, model.base_model_prefix, backbone)
        model.tie_weights()
        return cls(model, kind)

    def forward(self, states_MW: Tensor) -> Tensor:
        """Return logits `[M, V]` of states `[M, W]`."""
        # Heads take any leading dimensions; the states of a whole batch pass as one sequence.
        logits_1MV: Tensor = self.model(inputs_embeds=states_MW[None], return_dict=True).logits
        return logits_1MV[0]

    def attached(self, backbone: PreTrainedModel) -> PreTrainedModel:
        """Return the whole language model with a backbone in place; call `detach` afterwards."""
        setattr(self.model, self.model.base_model_prefix, backbone)
        return self.model

    def detach(self) -> None:
        """Replace the backbone by the identity again."""
        setattr(self.model, self.model.base_model_prefix, _IdentityBackbone())


def token_losses(logits_MV: Tensor, targets_M: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``-log p`` of each target in nats, and whether it was the most probable token.

    Args:
        logits_MV: float32 or bfloat16; sums are in float32.
        targets_M: int64.

    Returns:
        Two float32 tensors `[M]`, the first attached to the graph.
    """
    nll_M, correct_M = _TokenLosses.apply(logits_MV, targets_M)  # type: ignore[no-untyped-call]
    return nll_M, correct_M


class _TokenLosses(torch.autograd.Function):
    """`token_losses`, which computes the probabilities again for the gradient."""

    @staticmethod
    def forward(ctx: Any, logits_MV: Tensor, targets_M: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits_MV, targets_M)
        nll_M = torch.empty(len(logits_MV), device=logits_MV.device)
        correct_M = torch.empty_like(nll_M)
        for start in range(0, len(logits_MV), _ROWS):
            part = slice(start, start + _ROWS)
            logs_RV = logits_MV[part].float().log_softmax(dim=1)
            nll_M[part] = -logs_RV.gather(1, targets_M[part, None]).squeeze(1)
            correct_M[part] = logs_RV.argmax(dim=1) == targets_M[part]
        ctx.mark_non_differentiable(correct_M)
        return nll_M, correct_M

    @staticmethod
    def backward(ctx: Any, gradient_M: Tensor, _: Tensor) -> tuple[Tensor, None]:
        logits_MV, targets_M = ctx.saved_tensors
        gradient_MV = torch.empty_like(logits_MV)
        for start in range(0, len(logits_MV), _ROWS):
            part = slice(start, start + _ROWS)
            # The gradient of -log softmax at the target: the probabilities, less one at the target.
            left_RV = logits_MV[part].float().softmax(dim=1)
            left_RV[torch.arange(len(left_RV), device=left_RV.device), targets_M[part]] -= 1.0
            gradient_MV[part] = left_RV.mul_(gradient_M[part, None])
        return gradient_MV, None
