"""The one module of an architecture on a host, and how it becomes one agent after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.batching import Collator
from agents.blueprint import Blueprint, Group
from agents.dropout import dropout_of, use_byte_dropout
from agents.encoder import Encoder, add_heads, build_backbone
from agents.parameters import Binding, flatten, layout_of
from protocols.errors import ModelError
from protocols.seeding import derive


@dataclass
class AgentState:
    """All that changes about an agent; saving it and loading it back changes nothing.

    Attributes:
        parameters: `[P]`, flat; see `agents.parameters`.
        first_moment, second_moment: `[T]`, AdamW's, of the trained parameters.
        step: optimizer steps taken.
        read, anchors_read: documents and anchors read (or skipped) since the beginning.
        memory: what its exchange strategy remembers.
    """

    parameters: Tensor
    first_moment: Tensor
    second_moment: Tensor
    step: int = 0
    read: int = 0
    anchors_read: int = 0
    memory: dict[str, Any] = field(default_factory=dict)


class Resident:
    """An encoder, its optimizer and its collators, shared by all agents of a group on a host.

    Args:
        blueprint: of the host.
        group: whose encoder to build.
        device: where the encoder lives.
    """

    def __init__(self, blueprint: Blueprint, group: Group, device: torch.device) -> None:
        training = blueprint.training
        self.blueprint = blueprint
        self.group = group
        self.device = device
        self.precision = training.precision
        self.encoder = self._build(blueprint.seed)
        self._refuse_identical_views()
        self._refuse_longer_texts()
        self._initial = flatten(self.encoder, layout_of(self.encoder))
        self.binding = Binding(self.encoder)
        self.optimizer = self._optimizer()
        self.collate = Collator(group.tokenizer, training.max_length, device)
        self.collate_evaluation = Collator(group.tokenizer, blueprint.evaluation_length, device)
        self._tokenised: dict[str, np.ndarray] = {}
        self._current: AgentState | None = None

    def new_state(self, agent: int) -> AgentState:
        """Return the state of an agent that has not been trained.

        All agents of a group begin with the same weights, unless the blueprint asks each to draw its own.
        """
        flat = self._initial.clone()
        if self.blueprint.individual_initialisation:
            own = self._build(derive(self.blueprint.seed, "agent", agent))
            flat = flatten(own, self.binding.layout)
        trained = self.binding.layout.trained
        return AgentState(flat, torch.zeros_like(flat[:trained]), torch.zeros_like(flat[:trained]))

    def become(self, state: AgentState) -> None:
        """Point the encoder and the optimizer at an agent's state; nothing is copied."""
        if state is self._current:
            return
        self._current = state
        self.binding.point_at(state.parameters)
        steps = torch.tensor(float(state.step), device=self.device)
        for group, (start, end) in zip(self.optimizer.param_groups, self._spans(), strict=True):
            (parameter,) = group["params"]
            parameter.data = state.parameters[start:end]
            self.optimizer.state[parameter] = {
                "step": steps.clone(),
                "exp_avg": state.first_moment[start:end],
                "exp_avg_sq": state.second_moment[start:end],
            }

    def tokenise_evaluation(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Tokenise texts for evaluation, each once: all agents see the same ones, every time."""
        new = [text for text in dict.fromkeys(texts) if text not in self._tokenised]
        if new:
            encoded = self.group.tokenizer(
                new,
                add_special_tokens=False,
                truncation=True,
                max_length=self.collate_evaluation.budget,
            )["input_ids"]
            arrays = (np.asarray(ids, dtype=np.int64) for ids in encoded)
            self._tokenised.update(zip(new, arrays, strict=True))
        return [self._tokenised[text] for text in texts]

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def _refuse_identical_views(self) -> None:
        for objective in self.blueprint.objectives:
            if objective.relies_on_dropout and dropout_of(self.encoder.backbone) == 0.0:
                raise ModelError(
                    f"{objective.kind} with these views tells them apart by dropout alone, and the "
                    f"encoder {self.group.encoder.origin!r} has none",
                    expected="an encoder with dropout above 0",
                    actual=0.0,
                    mend="set encoder.dropout to 0.1, or use the view 'crop'",
                )

    def _refuse_longer_texts(self) -> None:
        limit = _positions(self.encoder.backbone)
        lengths = (
            ("training.max_length", self.blueprint.training.max_length),
            ("evaluation.max_length", self.blueprint.evaluation_length),
        )
        for name, length in lengths:
            if limit is not None and length > limit:
                raise ModelError(
                    f"{name} is longer than the encoder {self.group.encoder.origin!r} can read",
                    expected=f"at most {limit} tokens",
                    actual=length,
                    mend=f"lower {name}",
                )

    def _build(self, seed: int) -> Encoder:
        config, tokenizer = self.group.encoder, self.group.tokenizer
        named = derive(seed, "encoder", config.model_dump_json())
        backbone = build_backbone(config, len(tokenizer), int(tokenizer.pad_token_id or 0), named)
        heads = self.blueprint.heads
        encoder = add_heads(
            backbone,
            config,
            exchange_dimension=heads.exchange_dimension,
            classes=heads.classes,
            seed=named,
        )
        if self.device.type == "cpu":
            use_byte_dropout(encoder)
        return encoder.to(self.device)

    def _spans(self) -> tuple[tuple[int, int], tuple[int, int]]:
        layout = self.binding.layout
        return (0, layout.decayed), (layout.decayed, layout.trained)

    def _optimizer(self) -> torch.optim.AdamW:
        """One fused kernel over each contiguous slice, whatever the number of parameters."""
        training = self.blueprint.training
        groups = []
        for (start, end), decay in zip(self._spans(), (training.weight_decay, 0.0), strict=True):
            parameter = torch.nn.Parameter(self._initial[start:end])
            parameter.grad = self.binding.gradient[start:end]
            groups.append({"params": [parameter], "weight_decay": decay})
        return torch.optim.AdamW(
            groups, lr=training.learning_rate, betas=training.betas, fused=True
        )


def _positions(backbone: nn.Module) -> int | None:
    """Return how many tokens a backbone has positions for; None where it says nothing."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:
        return table.num_embeddings - table.padding_idx - 1  # RoBERTa counts from its padding on
    limit: int | None = getattr(backbone.config, "max_position_embeddings", None)
    return limit
