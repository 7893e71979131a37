"""Distillation of the joint embedding of several agents into each of them.

Legend: S agents, N anchors, A anchors in a batch, D width of the agent, E of the widest sender, K components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.embedding_distillation import align
from agents.exchange.anchors.fused_teacher import FusedTeacher, Part, TeacherState
from agents.exchange.base import (
    AnchorBatch,
    Announced,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    Turn,
    once_a_round,
    to_tensor,
)
from agents.lazy_torch import F, Tensor, torch
from agents.objectives import functional
from protocols.messages import Embeddings, Message, Payload
from protocols.topologies.hops import Direction


@dataclass
class JointState(TeacherState["Tensor"]):
    """Teacher `[N, D]` in the agent's axes, normalised, and the agent's own embeddings.

    Attributes:
        own: round, and the agent's own embeddings `[N, D]` in it.
    """

    own: tuple[int, Tensor] | None = None


class JointDistillation(FusedTeacher):
    """Joint distillation: learn the joint embedding of the agent and its neighbours.

    The joint embedding of a text is the unit embeddings of several agents side by side, so that a cosine in
    it is the mean of their cosines. It separates more than any of them, since their errors differ, but is as
    wide as all together. An agent sends its embedding of every anchor, the mean over its crops, centred. It
    reduces the joint embedding of itself and its senders to the first `components` principal components, and
    rotates them into its own axes (orthogonal Procrustes); each anchor of a batch then learns its row, with
    the loss ``1 - cos``. Widths may differ, and no head is needed.

    This is not ``embedding_distillation``, which rotates each neighbour into the agent's axes and averages
    there: what a neighbour separates in directions that the agent does not use cancels out. Nor is it
    ``anchor_similarity``, which averages softmaxes, learns the order within a batch, and sends `[N, N]`.

    In a tree, embeddings travel up side by side, so that an edge carries as many as there are agents below
    it. The root reduces them, and its components, one row for each anchor, travel down.

    In asynchronous runs the cosines of a stale sender weigh less in the mean.

    Sources: Tian et al., Contrastive Representation Distillation, 2020, who distil an ensemble of embeddings,
    by contrast; Schönemann, A generalized solution of the orthogonal Procrustes problem, 1966.
    """

    kind: Literal["joint_distillation"] = "joint_distillation"
    state_type: ClassVar[type[ExchangeState]] = JointState
    weight: float = Field(
        10.0,
        gt=0.0,
        description="Factor of this loss in the total loss. Large: the gradient of a cosine is small next to "
        "that of a contrastive loss, which divides cosines by a temperature.",
    )
    components: int = Field(
        64,
        ge=2,
        description="Principal components of the joint embedding that are kept, at most; an agent learns "
        "as many as its width.",
    )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return no heads: rotations align different widths."""
        return Heads()

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the agent's own embeddings of the anchors `[N, D]`, centred and normalised."""

        def embed() -> Tensor:
            unit_ND = F.normalize(learner.embed_anchors(self.crops, turn.round).mean(dim=0), dim=-1)
            # Agents that regress onto each other shrink towards their common mean in every round, until all
            # texts have one embedding; without a mean there is nothing to shrink to.
            return F.normalize(unit_ND - unit_ND.mean(dim=0), dim=-1)

        state = JointState.of(learner)
        state.own = once_a_round(state.own, turn, embed)
        return state.own[1]

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of the embeddings of one or more agents; zeros fill up narrower ones."""
        widest = max(values.shape[1] for values, _ in parts)
        padded = [F.pad(values, (0, widest - values.shape[1])) for values, _ in parts]
        return Embeddings(values=torch.stack(padded).cpu().numpy())

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read the embeddings of each agent, normalised, so that none outweighs the others."""
        assert isinstance(payload, Embeddings)
        return [(F.normalize(e, dim=-1), 1.0) for e in to_tensor(payload.values, learner)]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept embeddings of every anchor in any width: one of each, or those of a subtree."""
        agents = None if turn.direction is Direction.UP else 1
        return Expected(Embeddings, {"values": (agents, learner.anchor_count, None)})

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce the sizes of a society in which all have the agent's own width."""
        if self.teacher == "own":
            return None
        anchors, width = learner.anchor_count, learner.encoder.width
        agents = len(represented) if turn.direction is Direction.UP else 1
        if turn.direction is Direction.DOWN:
            width = min(self.components, anchors, len(represented) * width)
        return Announced(Embeddings, {"values": (agents, anchors, width)})

    def gather(self, parts: Sequence[Part]) -> list[Part]:
        """Return the embeddings of all agents."""
        return list(parts)

    def judge(self, learner: Learner, parts: list[Part], turn: Turn) -> list[Part]:
        """Add the agent's own embeddings to those of its peers; in a tree the root's joint has them."""
        peer = turn.direction is Direction.PEER
        return [(self.summarise(learner, turn), 1.0), *parts] if peer else parts

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Tensor:
        """Return the principal components of the joint embedding, `[N, K]`."""
        return principal_components(joint_embedding(parts), self.components)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Rotate the joint embedding of the agent and its senders, or that from above, into its own axes."""
        if not inbox:
            return
        super().merge(learner, inbox, turn)
        state = JointState.of(learner)
        joint_NK = state.teacher
        if turn.direction is Direction.UP and turn.is_top:
            assert state.from_root is not None
            joint_NK = state.from_root[1][0][0]
        assert joint_NK is not None
        own_ND = self.summarise(learner, turn)
        # A rotation into fewer axes would keep what is like the agent's own, not what varies most.
        fitting_NK = F.normalize(principal_components(joint_NK, own_ND.shape[1]), dim=-1)
        state.teacher = align(fitting_NK, own_ND)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return ``1 - cos`` between the batch's anchors and their rows of the teacher, a mean."""
        teacher_ND = JointState.of(learner).teacher
        if teacher_ND is None:
            return None
        target_AD = teacher_ND[anchors.ids]
        head = learner.encoder.exchange_head
        losses = [functional.cosine_distance(head(pooled), target_AD) for pooled in anchors.pooled]
        return self.ramped_weight(learner) * torch.stack(losses).mean()


def joint_embedding(parts: Sequence[Part]) -> Tensor:
    """Put embeddings side by side, scaled so that a cosine is the weighted mean of the parts' cosines.

    Args:
        parts: `[N, E]`, normalised, of any widths, and the weight > 0 of each.

    Returns:
        `[N, sum of E]`, normalised.

    Example:
        >>> import torch
        >>> one, other = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> joint = joint_embedding([(one, 3.0), (other, 1.0)])
        >>> round(float(joint[0] @ joint[1]), 6)
        0.25
    """
    return F.normalize(torch.cat([weight**0.5 * values for values, weight in parts], dim=1), dim=-1)


def principal_components(values_NE: Tensor, components: int) -> Tensor:
    """Project rows onto their first principal components about the origin.

    Args:
        values_NE: `[N, E]`.
        components: the most to keep.

    Returns:
        `[N, K]`, K the least of components, N and E: the rows' coordinates, by falling variance. No other K
        columns have products between rows that are closer to those of the given rows.
    """
    # In double precision on the CPU, of the smaller of the two Gram matrices, which have the same spectrum.
    values = values_NE.cpu().double()
    kept = min(components, *values.shape)
    if values.shape[0] < values.shape[1]:
        squares_N, vectors_NN = torch.linalg.eigh(values @ values.T)
        coordinates = vectors_NN * squares_N.clamp(min=0.0).sqrt()
    else:
        coordinates = values @ torch.linalg.eigh(values.T @ values)[1]
    largest_NK: Tensor = coordinates.flip(1)[:, :kept]
    return largest_NK.to(values_NE)
