"""The one model of an architecture on a host, pointed at one agent after another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.models.build import build_encoder
from agents.models.cpu.bfloat16 import has_bfloat16_units
from agents.models.cpu.byte_dropout import dropout_of, use_byte_dropout
from agents.models.cpu.matmul_attention import use_matmul_attention
from agents.models.encoder import Encoder
from agents.models.flat_parameters import (
    Binding,
    OwnBuffers,
    Views,
    copy_buffers,
    flatten,
    layout_of,
)
from agents.models.pretrained import positions_of
from agents.objectives.base import Prepared
from agents.text.batch import Batch, tensor, to_device
from agents.text.collate import Collator, Padded
from agents.text.length_buckets import pass_tokens
from agents.text.thesaurus import Thesaurus
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from agents.training.blueprint import Blueprint, Group, Member
from agents.training.optimizers import AgentOptimizer
from agents.training.state import AgentState
from agents.views import Setting, views_of
from protocols.errors import ModelError
from protocols.seeding import derive

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


class SharedModel:
    """An encoder, its optimizer and its collators, shared by all agents of a group on a host.

    Args:
        blueprint: the host's blueprint.
        group: group of the agents; its encoder is built.
        device: the encoder's device.
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
        self._warn_of_slow_precision()
        self._initial = flatten(self.encoder, layout_of(self.encoder))
        self.binding = Binding(self.encoder)
        self.buffers = OwnBuffers(self.encoder)
        self._initial_buffers = self.buffers.read()
        self._steps = self.agent_optimizer([self.binding.gradient])
        self.vocabulary = Vocabulary(group.tokenizer)
        self.collate = Collator(group.tokenizer, training.max_length)
        self.collate_evaluation = Collator(group.tokenizer, blueprint.evaluation_length)
        self._tokenised: dict[str, np.ndarray] = {}
        self._thesauri: dict[int, Thesaurus] = {}
        self._check_views()
        self._current: AgentState | None = None
        self._stacked = self.binding.gradient[:0].unsqueeze(1)

    def new_state(self, agent: int) -> AgentState:
        """Return the state of an agent that has not been trained.

        All agents of a group begin with the same weights, unless the blueprint makes each draw its own.
        """
        if not self.blueprint.individual_initialisation:
            shared = self.shared_state()
            return replace(
                shared,
                parameters=shared.parameters.clone(),
                buffers=copy_buffers(shared.buffers),
            )
        own = self._build(derive(self.blueprint.seed, "agent", agent))
        return replace(
            self.shared_state(),
            parameters=flatten(own, self.binding.layout),
            buffers=OwnBuffers(own).read(),
        )

    def shared_state(self) -> AgentState:
        """Return a state of the initial parameters and buffers themselves: not to be changed."""
        return AgentState(
            self._initial,
            optimizer=[{} for _ in range(self._steps.parts)],
            objectives=[objective.state_type() for objective in self.blueprint.objectives],
            buffers=self._initial_buffers,
        )

    def setting(self, member: Member) -> Setting:
        """Return the setting of an agent's views; its thesaurus is kept, as it depends only on the text."""
        if member.id not in self._thesauri:
            tokens = self.group.tokens
            self._thesauri[member.id] = Thesaurus(self.vocabulary, tokens, member.rows)
        return Setting(self.collate.budget, self.vocabulary, self._thesauri[member.id])

    def become(self, state: AgentState) -> None:
        """Point the encoder and the optimizer at an agent's state; nothing is copied."""
        if state is self._current:
            return
        self._current = state
        self.binding.point_at(state.parameters)
        self.buffers.point_at(state.buffers)
        self._steps.point_at(0, state.parameters, state.optimizer)

    def become_one_of_a_stack(self, state: AgentState, views: Views) -> None:
        """Point the encoder at an agent's state, its gradients at a row of a stack's; see `Binding.views`."""
        self._current = state
        self.binding.switch(views)
        self.buffers.point_at(state.buffers)

    def leave_stack(self) -> None:
        """Let gradients add up in the encoder's own buffer again."""
        self._current = None
        self.binding.collect_in(self.binding.gradient)

    def stacked_gradients(self, agents: int) -> Tensor:
        """Return a buffer `[A, P]` for the gradients of a stack, which the next stack uses again."""
        if len(self._stacked) < agents:
            self._stacked = self.binding.gradient.new_zeros(agents, self.binding.layout.size)
        return self._stacked[:agents]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the agent that the encoder is pointed at."""
        return self._steps.optimizer

    def agent_optimizer(self, gradients: Sequence[Tensor]) -> AgentOptimizer:
        """Build an optimizer over the agents whose gradients `[P]` are given."""
        training = self.blueprint.training
        return AgentOptimizer(
            training.optimizer,
            self.binding.layout,
            gradients,
            training.learning_rate,
            training.weight_decay,
        )

    def step(self, learning_rate: float) -> None:
        """Change the current agent's parameters by the gradient."""
        self._steps.step(learning_rate)

    def keep_buffers(self) -> None:
        """Keep the buffers in the current state; a module may have replaced them, not only changed them."""
        assert self._current is not None
        self._current.buffers = self.buffers.read()

    def under(self, parameters: Tensor, function: Callable[[], Tensor]) -> Tensor:
        """Run a function while the encoder has other parameters `[P]`, without gradients."""
        assert self._current is not None
        self._point_at(parameters)
        try:
            with torch.no_grad():
                return function()
        finally:
            self._point_at(self._current.parameters)

    def _point_at(self, parameters: Tensor) -> None:
        # Autocast caches a bfloat16 copy of every parameter, and does not notice that its data has changed.
        torch.clear_autocast_cache()
        self.binding.point_at(parameters)

    @property
    def pass_tokens(self) -> int | None:
        """Fixed cost of a pass through the encoder, in tokens; None if batches are not divided."""
        chosen = self.blueprint.training.length_buckets
        # On a GPU, computing the padding takes less time than launching a second pass.
        wanted = self.device.type == "cpu" if chosen is None else chosen
        return pass_tokens(self.encoder.width) if wanted else None

    def to_device(self, prepared: Prepared) -> dict[str, Any]:
        """Move an objective's prepared inputs to the encoder's device."""
        return {
            name: self.batch(value) if isinstance(value, Padded) else tensor(value, self.device)
            for name, value in prepared.items()
        }

    def batch(self, padded: Padded) -> Batch:
        """Move a padded batch to the encoder's device."""
        return to_device(padded, self.device)

    def pad(self, texts: Sequence[Text | np.ndarray]) -> Batch:
        """Pad texts, each cut at the length of training, and move them to the encoder's device."""
        return self.batch(self.collate(texts))

    def tokenise_evaluation(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Tokenise texts for evaluation, each once: all agents encode the same texts, every time."""
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

    def _check_views(self) -> None:
        setting = Setting(self.collate.budget, self.vocabulary)
        for objective in self.blueprint.objectives:
            for view in views_of(objective):
                view.check(setting)

    def _refuse_identical_views(self) -> None:
        for objective in self.blueprint.objectives:
            if objective.relies_on_dropout and dropout_of(self.encoder.backbone) == 0.0:
                raise ModelError(
                    f"{objective.kind} with these views relies on dropout to make them differ, and the "
                    f"encoder {self.group.encoder.origin!r} has none",
                    expected="an encoder with dropout above 0",
                    actual=0.0,
                    hint="set encoder.dropout to 0.1, or use info_nce with the view 'crop'",
                )

    def _refuse_longer_texts(self) -> None:
        limit = positions_of(self.encoder.backbone)
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
                    hint=f"lower {name}",
                )

    def _warn_of_slow_precision(self) -> None:
        if self.precision == "bf16" and not has_bfloat16_units(self.device):
            logger.warning(
                "this processor has no bfloat16 units, so bf16 is far slower than fp32 here; "
                "with training.precision auto a run measures both and takes the faster one"
            )

    def _build(self, seed: int) -> Encoder:
        config, heads = self.group.encoder, self.blueprint.heads
        encoder = build_encoder(
            config,
            self.group.tokenizer,
            derive(seed, "encoder", config.origin),
            exchange_dimension=heads.exchange_dimension,
            classes=heads.classes,
            objectives=self.blueprint.objectives,
        )
        if self.blueprint.training.activation_checkpointing:
            _checkpoint_activations(encoder.backbone)
        if self.device.type == "cpu":
            use_byte_dropout(encoder)
            if self.precision == "bf16":
                use_matmul_attention(encoder.backbone)
        return encoder.to(self.device)


def _checkpoint_activations(backbone: PreTrainedModel) -> None:
    # Releases before 5.23 have only the old name, which later releases deprecate.
    enable = getattr(backbone, "activation_checkpointing_enable", None)
    try:
        (enable or backbone.gradient_checkpointing_enable)({"use_reentrant": False})
    except ValueError as error:
        raise ModelError(
            str(error), hint="set training.activation_checkpointing to false"
        ) from error
