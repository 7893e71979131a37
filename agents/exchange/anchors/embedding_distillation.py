"""Distillation of neighbours' embeddings of public anchors, rotated into the agent's axes.

Legend: N anchors, A anchors in a batch, D width of the agent, E of a neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.base import (
    AnchorBatch,
    Announced,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    RoundState,
    Society,
    Turn,
    once_a_round,
    to_tensor,
)
from agents.lazy_torch import F, Tensor, torch
from agents.objectives import functional
from protocols.messages import Embeddings, Message, Payload
from protocols.topologies.hops import Direction


@dataclass
class EmbeddingState(RoundState):
    """Teacher and the embeddings to pass on.

    Attributes:
        teacher: `[N, D]`, normalised.
        passed_on: `[N, E]`, the embeddings to send on along a tree in this round.
        own: round, and the agent's own embeddings `[N, D]` in it.
    """

    teacher: Tensor | None = None
    passed_on: Tensor | None = None
    own: tuple[int, Tensor] | None = None


class EmbeddingDistillation(AnchorExchange):
    """Embedding distillation (SEED, Fang et al. 2021): match the neighbours' aligned anchor embeddings.

    An agent sends its embedding of every anchor, the mean over its crops. Received embeddings are turned into
    the agent's axes by the rotation that brings them closest to its own embeddings of the anchors (orthogonal
    Procrustes), and averaged into one teacher; widths may differ, and no head is needed. For each anchor of a
    batch, the softmax over the cosines of the agent's embedding to the teacher's anchors learns the teacher's
    own softmax, which is sharper.

    In a tree, embeddings flow up, each parent averaging its own with its children's, and the root's average
    flows down unchanged. With ``direction: down`` nothing flows up: only the root teaches, so that a
    pretrained agent there is a teacher that its students do not disturb; it learns nothing from them.

    Sources: Fang et al., SEED: Self-supervised Distillation for Visual Representation, 2021, with the anchors
    for its queue; Schönemann, A generalized solution of the orthogonal Procrustes problem, 1966.
    """

    kind: Literal["embedding_distillation"] = "embedding_distillation"
    state_type: ClassVar[type[ExchangeState]] = EmbeddingState
    temperature: float = Field(0.2, gt=0.0, le=10.0, description="Divides the agent's cosines.")
    teacher_temperature: float = Field(
        0.01, gt=0.0, le=10.0, description="Divides the teacher's cosines; below `temperature`."
    )
    direction: Literal["both", "down"] = Field(
        "both", description="Direction of teaching in a tree; down: only from the root."
    )

    def check(self, society: Society) -> None:
        """Refuse a direction if the topology has no directions."""
        super().check(society)
        peers = society.network is not None and society.network.family == "peer"
        if peers and self.direction == "down":
            raise ValueError(
                "exchange.direction=down lets the root of a tree teach, and peers have no root; choose the "
                "topology master_slave or layered, or set exchange.direction to both"
            )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return no heads: rotations align different widths."""
        return Heads()

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's own embeddings to peers, its subtree's mean upwards, and the root's downwards."""
        if turn.direction is Direction.UP and self.direction == "down":
            return None
        state, passed_on = EmbeddingState.of(learner), None
        if turn.direction is not Direction.PEER and state.round == turn.round:
            passed_on = state.passed_on
        values_ND = self._own(learner, turn) if passed_on is None else passed_on
        return Embeddings(values=values_ND[None].cpu().numpy())

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept one embedding of every anchor, in any width."""
        return Expected(Embeddings, {"values": (1, learner.anchor_count, None)})

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce embeddings in the agent's own width, though a relay passes on those of the root."""
        if self.teacher == "own" or (turn.direction is Direction.UP and self.direction == "down"):
            return None
        return Announced(Embeddings, {"values": (1, learner.anchor_count, learner.encoder.width)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Average received embeddings, aligned, into the teacher; keep those to pass on in a tree."""
        if not inbox:
            return
        state = EmbeddingState.of(learner)
        state.begin_round(turn)
        own_ND = self._own(learner, turn)
        received = [_read(message.payload, learner) for message in inbox]
        aligned = [align(values_NE, own_ND) for values_NE in received]
        state.teacher = _mean(aligned)
        if turn.direction is Direction.UP:
            state.passed_on = _mean([own_ND, *aligned])
        elif turn.direction is Direction.DOWN:
            state.passed_on = received[0]  # unprojected: a narrow relay loses no width

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to the teacher's distribution over anchors, a mean over the views."""
        teacher_ND = EmbeddingState.of(learner).teacher
        if teacher_ND is None:
            return None
        sharp_AN = (
            functional.cosines(teacher_ND[anchors.ids], teacher_ND) / self.teacher_temperature
        )
        target_AN = torch.softmax(sharp_AN, dim=1)
        head = learner.encoder.exchange_head
        losses = [
            functional.soft_cross_entropy(
                functional.cosines(head(pooled), teacher_ND) / self.temperature, target_AN
            )
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(losses).mean()

    def _own(self, learner: Learner, turn: Turn) -> Tensor:
        def embed() -> Tensor:
            return _mean(list(learner.embed_anchors(self.crops, turn.round)))

        state = EmbeddingState.of(learner)
        state.own = once_a_round(state.own, turn, embed)
        return state.own[1]


def align(theirs_NE: Tensor, mine_ND: Tensor) -> Tensor:
    """Rotate embeddings into other axes: ``theirs R`` for the R that minimises ``|theirs R - mine|``.

    R `[E, D]` is orthogonal; where widths differ, its rows or its columns are orthonormal, as if the narrower
    embeddings were padded with zeros. Cosines between the rows are kept, except those that a narrower space
    cannot hold.

    Args:
        theirs_NE: `[N, E]`.
        mine_ND: `[N, D]`, the same texts in the same order.

    Returns:
        `[N, D]`, normalised.

    Example:
        >>> import torch
        >>> turned = align(torch.eye(3)[:, [1, 2, 0]], torch.eye(3))
        >>> bool(torch.allclose(turned, torch.eye(3), atol=1e-6))
        True
    """
    # Small, and once a round: double precision on the CPU, since not every device has it.
    theirs, mine = theirs_NE.cpu().double(), mine_ND.cpu().double()
    left, _, right = torch.linalg.svd(theirs.T @ mine, full_matrices=False)
    return F.normalize(theirs @ (left @ right), dim=-1).to(mine_ND)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return F.normalize(torch.stack(list(parts)).mean(dim=0), dim=-1)


def _read(payload: Payload, learner: Learner) -> Tensor:
    assert isinstance(payload, Embeddings)
    return F.normalize(to_tensor(payload.values[0], learner), dim=-1)
