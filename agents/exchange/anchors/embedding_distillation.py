"""Distillation of neighbours' embeddings of public anchors, turned into my axes.

Legend: N anchors, A anchors in a batch, D my width, E a neighbour's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import (
    AnchorBatch,
    AnchorExchange,
    Announced,
    Expected,
    Heads,
    Learner,
    Society,
    Turn,
    begin_round,
    once_a_round,
)
from agents.lazy_torch import F, torch
from protocols.messages import Embeddings, Message, Payload
from protocols.topologies.hops import Direction

if TYPE_CHECKING:
    from torch import Tensor


class EmbeddingDistillation(AnchorExchange):
    """Embeddings of anchors, aligned: find among a neighbour's anchors those alike that it does.

    I send my embedding of every anchor, the mean over its crops. What I receive is turned into my axes by
    the rotation that brings it nearest to my own embeddings of the anchors (orthogonal Procrustes), and
    averaged into one teacher; widths may differ, and no head is needed. Of each anchor of a batch I learn the
    teacher's softmax over its cosines to all anchors, which is sharper, by my own: the cosines of my
    embedding to the teacher's.

    In a tree, embeddings flow up, each parent averaging its own with its children's, and the root's average
    flows down to everybody as it is. With ``direction: down`` nothing flows up: the top teaches, so that a
    pretrained agent there is a teacher whom its students do not disturb; it learns nothing from them.

    Sources: Fang et al., SEED: Self-supervised Distillation for Visual Representation, 2021, with the anchors
    for its queue; Schönemann, A generalized solution of the orthogonal Procrustes problem, 1966.
    """

    kind: Literal["embedding_distillation"] = "embedding_distillation"
    temperature: float = Field(0.2, gt=0.0, le=10.0, description="Divides my cosines.")
    teacher_temperature: float = Field(
        0.01, gt=0.0, le=10.0, description="Divides the teacher's cosines; less than mine."
    )
    direction: Literal["both", "down"] = Field(
        "both", description="Which way teaching flows in a tree; down: from the top alone."
    )

    def check(self, society: Society) -> None:
        """Refuse a direction where there is none."""
        super().check(society)
        peers = society.network is not None and society.network.family == "peer"
        if peers and self.direction == "down":
            raise ValueError(
                "exchange.direction=down lets the top of a tree teach, and peers have no top; choose the "
                "topology master_slave or layered, or set exchange.direction to both"
            )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for none: rotations bring unlike widths together."""
        return Heads()

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my own embeddings to peers, my subtree's mean upwards, and the root's downwards."""
        if turn.direction is Direction.UP and self.direction == "down":
            return None
        passed_on: Tensor | None = None
        if turn.direction is not Direction.PEER and learner.memory.get("round") == turn.round:
            passed_on = learner.memory.get("passed_on")
        values_ND = self._own(learner, turn) if passed_on is None else passed_on
        return Embeddings(values=values_ND[None].cpu().numpy())

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept one embedding of every anchor, in any width."""
        return Expected(Embeddings, {"values": (1, learner.anchor_count, None)})

    def announces(
        self, learner: Learner, turn: Turn, spoken_for: Sequence[int]
    ) -> Announced | None:
        """Announce embeddings in my own width, though a relay passes on the root's; nothing where silent."""
        if self.teacher == "own" or (turn.direction is Direction.UP and self.direction == "down"):
            return None
        return Announced(Embeddings, {"values": (1, learner.anchor_count, learner.encoder.width)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Average into the teacher what came, aligned; note what to pass on in a tree."""
        if not inbox:
            return
        begin_round(learner, turn)
        own_ND = self._own(learner, turn)
        received = [_read(message.payload, learner) for message in inbox]
        aligned = [align(values_NE, own_ND) for values_NE in received]
        learner.memory["teacher"] = _mean(aligned)
        if turn.direction is Direction.UP:
            learner.memory["passed_on"] = _mean([own_ND, *aligned])
        elif turn.direction is Direction.DOWN:
            learner.memory["passed_on"] = received[0]  # as it came: a narrow relay narrows nothing

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to the teacher's distribution over anchors, a mean over the views."""
        from agents.objectives import functional

        teacher_ND = learner.memory.get("teacher")
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

        return once_a_round(learner, turn, "own", embed)


def align(theirs_NE: Tensor, mine_ND: Tensor) -> Tensor:
    """Turn embeddings into other axes: ``theirs R`` for the R that minimises ``|theirs R - mine|``.

    R `[E, D]` is orthogonal; where widths differ, its rows or its columns are orthonormal, as if the narrower
    embeddings were padded with zeros. Cosines between the rows are kept, but for what a narrower space has no
    room for.

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
    # Small, and once a round: in double precision, and where every device has it.
    theirs, mine = theirs_NE.cpu().double(), mine_ND.cpu().double()
    left, _, right = torch.linalg.svd(theirs.T @ mine, full_matrices=False)
    return F.normalize(theirs @ (left @ right), dim=-1).to(mine_ND)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return F.normalize(torch.stack(list(parts)).mean(dim=0), dim=-1)


def _read(payload: Payload, learner: Learner) -> Tensor:
    assert isinstance(payload, Embeddings)
    # Copied: the payload is a view of a message buffer that is not ours to keep.
    values_NE = torch.from_numpy(np.array(payload.values[0])).to(learner.parameters.device)
    return F.normalize(values_NE, dim=-1)
