"""Codistillation between pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.anchor_similarity import divergence, similarities
from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.anchors.classes import (
    LABELS_HELP,
    Labels,
    check_classes,
    class_scores,
    label_divergence,
    taught_classifier,
)
from agents.exchange.base import (
    AnchorBatch,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    RoundState,
    Society,
    Turn,
    to_tensor,
)
from agents.lazy_torch import Tensor, torch
from protocols.messages import Message, Payload, PseudoLabels, SimilarityTargets
from protocols.seeding import derive


@dataclass
class CodistillationState(RoundState):
    """Message of the chosen neighbour.

    Attributes:
        drawn: number that the chosen edge drew in this round, and the neighbour there.
        teacher: similarities `[N, N]` or soft labels `[N, K]` of the chosen neighbour.
    """

    drawn: tuple[int, int] | None = None
    teacher: Tensor | None = None


class Codistillation(AnchorExchange):
    """Codistillation (Anil et al. 2018): learn from one neighbour at a time, without averaging.

    An agent sends the similarities of its anchors (``over: similarities``, as ``anchor_similarity`` does) or
    their classes (``over: classes``, as ``pseudo_labels`` does; with ``labels: own`` by the agent's own
    labelled documents, learnt by the classifier of the objective ``labelled``). At each exchange every edge
    draws a number from the seed and the round, the same at both ends, and the agent learns ``KL(theirs ||
    own)`` from the one neighbour whose edge drew the least: the two ends of the least edge learn from each
    other, and nothing is averaged. In a tree all agents send their own, upwards and downwards, so that the
    neighbour is the parent or one of the children.

    Messages go to all neighbours, since an agent does not know which the others draw; in a topology that
    pairs agents by itself (``random_matching``, ``one_peer_exponential``) no byte is wasted.

    Source: Anil et al., Large Scale Distributed Neural Network Training through Online Distillation, 2018;
    for pairs: Zhang et al., Deep Mutual Learning, 2018.
    """

    kind: Literal["codistillation"] = "codistillation"
    state_type: ClassVar[type[ExchangeState]] = CodistillationState
    over: Literal["similarities", "classes"] = Field(
        "similarities", description="Representation of the anchors that is sent and learnt."
    )
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    classes: int = Field(16, ge=2, description="Clusters or labels, over classes.")
    labels: Labels = Field("clusters", description=LABELS_HELP)

    @property
    def wants_labels(self) -> bool:
        """Return whether the classes are the anchors' true labels."""
        return self.over == "classes" and self.labels == "true"

    @property
    def wants_own_labels(self) -> int:
        """Number of classes of the agents' own labels; 0 where the classes are others."""
        return self.classes if self.over == "classes" and self.labels == "own" else 0

    def check(self, society: Society) -> None:
        """Refuse more classes than the anchors can fill, and settings of classes that are not used."""
        super().check(society)
        if self.over == "classes":
            check_classes(self.classes, society)
            return
        for name in ("classes", "labels"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"exchange.{name} is set, and codistillation exchanges similarities; "
                    "set exchange.over to classes"
                )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a classifier where classes are exchanged."""
        return Heads(classes=self.classes if self.over == "classes" and self.labels != "own" else 0)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's own similarities `[N, N]` or soft labels `[N, K]`."""
        if self.over == "similarities":
            values = similarities(learner, turn, self.crops, self.temperature)
            return SimilarityTargets(values=values.cpu().numpy(), weight=1.0)
        scores = class_scores(self, learner, turn)
        return PseudoLabels(probabilities=torch.softmax(scores, dim=-1).cpu().numpy(), weight=1.0)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept the same form that the agent sends."""
        anchors = learner.anchor_count
        if self.over == "similarities":
            return Expected(SimilarityTargets, {"values": (anchors, anchors)})
        return Expected(PseudoLabels, {"probabilities": (anchors, self.classes)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep the message of the neighbour whose edge drew the least in this round, over all hops."""
        if not inbox:
            return
        state = CodistillationState.of(learner)
        if state.begin_round(turn):
            state.drawn = None
        for message in inbox:
            sender = message.envelope.sender
            drawn = edge_draw(learner.seed, turn.round, learner.id, sender)
            if state.drawn is None or drawn < state.drawn[0]:
                state.drawn = (drawn, sender)
                state.teacher = _values(message.payload, learner)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the divergence from the partner, a mean over anchors and views."""
        teacher = CodistillationState.of(learner).teacher
        if teacher is None:
            return None
        if self.over == "similarities":
            learnt = divergence(teacher, anchors, self.temperature)
        else:
            learnt = label_divergence(
                taught_classifier(self, learner), anchors, teacher[anchors.ids]
            )
        return self.ramped_weight(learner) * learnt


def edge_draw(seed: int, round: int, one: int, other: int) -> int:
    """Return the random number of an edge in a round, the same at both ends.

    Example:
        >>> edge_draw(0, 1, 2, 5) == edge_draw(0, 1, 5, 2) != edge_draw(0, 2, 2, 5)
        True
    """
    return derive(seed, "mutual", round, min(one, other), max(one, other))


def _values(payload: Payload, learner: Learner) -> Tensor:
    if isinstance(payload, SimilarityTargets):
        return to_tensor(payload.values, learner)
    assert isinstance(payload, PseudoLabels)
    return to_tensor(payload.probabilities, learner)
