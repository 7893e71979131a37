"""Distillation of the old geometry of public anchors, from neighbours and from the agent's earlier self."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.anchor_similarity import divergence, similarities
from agents.exchange.anchors.fused_teacher import FusedTeacher, Part, TeacherState
from agents.exchange.base import (
    AnchorBatch,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    Turn,
    to_tensor,
)
from agents.lazy_torch import Tensor
from protocols.messages import Payload, SimilarityTargets
from protocols.topologies.hops import Direction


@dataclass
class RecallState(TeacherState["Tensor"]):
    """State of `AnchorRecall`.

    Attributes:
        recalled: the agent's own similarities `[N, N]` before its first step; None until then.
    """

    recalled: Tensor | None = None


class AnchorRecall(FusedTeacher):
    """Recall: keep the geometry that public anchors had before there was new text to learn.

    Before its first step an agent notes ``softmax(cos / temperature)`` between all anchors, the diagonal
    masked. It learns from ``KL(mean || own)`` on the anchors of each batch, where the mean is taken over what
    it noted itself and what its neighbours noted, who had not seen the new text either. So a society recalls
    without storing private text. What is noted never changes, and is sent once.

    It is meant for agents that have learnt before, and learn on; in a run from random weights there is
    nothing to recall. With ``teacher: own`` it is learning without forgetting, on public anchors.

    Sources: Li and Hoiem, Learning without Forgetting, 2016, for the earlier self as a teacher; Fang et al.,
    SEED, 2021, for similarities as what is taught.
    """

    kind: Literal["anchor_recall"] = "anchor_recall"
    state_type: ClassVar[type[ExchangeState]] = RecallState
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    ramp: int = Field(1, ge=1, le=1, description="Always 1: recalling begins at the first step.")

    def is_due(self, round: int, rounds: int) -> bool:
        """Return whether this is the first round, unless it is the last: one message says it all."""
        return round == self.first and round < rounds

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return no heads: similarities have no axes."""
        return Heads()

    def before_step(self, learner: Learner) -> None:
        """Note the geometry before the first step."""
        _recalled(self, learner)

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return what the agent noted, `[N, N]`."""
        return _recalled(self, learner)

    def judge(self, learner: Learner, parts: list[Part], turn: Turn) -> list[Part]:
        """Add what the agent noted to what its peers did; in a tree it is part of the mean anyway."""
        own = [(_recalled(self, learner), 1.0)] if turn.direction is Direction.PEER else []
        return [*parts, *own]

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of a similarity matrix."""
        ((values, weight),) = parts
        return SimilarityTargets(values=values.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read a similarity matrix and the number of agents that it represents."""
        assert isinstance(payload, SimilarityTargets)
        return [(to_tensor(payload.values, learner), payload.weight)]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a square matrix over the anchors."""
        count = learner.anchor_count
        return Expected(SimilarityTargets, {"values": (count, count)})

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the divergence from the mean, or before the exchange from what the agent noted itself."""
        if len(anchors.ids) < 3:
            return None
        state = RecallState.of(learner)
        teacher_NN = state.recalled if state.teacher is None else state.teacher
        assert teacher_NN is not None  # since `before_step`
        return self.weight * divergence(teacher_NN, anchors, self.temperature)


def _recalled(strategy: AnchorRecall, learner: Learner) -> Tensor:
    state = RecallState.of(learner)
    if state.recalled is None:
        turn = Turn(round=0, hop=0, direction=Direction.PEER)
        encoder = learner.encoder
        training = encoder.training
        state.recalled = similarities(learner, turn, strategy.crops, strategy.temperature)
        encoder.train(training)  # embedding turns dropout off
    return state.recalled
