"""Neighbours' embeddings of their private batches, as negatives for the agent's own.

Legend: B private texts in a batch, N of all neighbours, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.base import (
    Announced,
    ExchangeState,
    Expected,
    Learner,
    PrivateBatch,
    RoundState,
    Society,
    Turn,
    exchange_width,
    once_a_round,
    to_tensor,
)
from agents.exchange.private.base import PrivateExchange, exchange_embeddings
from agents.lazy_torch import Tensor, torch
from agents.objectives import functional
from protocols.messages import (
    DETACHED,
    EmbeddingGradients,
    Gradient,
    Message,
    Payload,
    PrivateEmbeddings,
)
from protocols.topologies.network import Network

_CHECKED_ROUNDS = 32


@dataclass
class CrossNegativesState(RoundState):
    """Embeddings and gradients by each neighbour.

    Attributes:
        received: (round, batch, embeddings `[2, B, D]`) of each kept message, by sender.
        gradients: (batch, gradients `[2, B, D]`) that each neighbour returned in this round, by sender.
        own: round, and the number and embeddings `[2, B, D]` of the agent's own next batch.
    """

    received: dict[int, list[tuple[int, int, Tensor]]] = field(default_factory=dict)
    gradients: dict[int, tuple[int, Tensor]] = field(default_factory=dict)
    own: tuple[int, tuple[int, Tensor]] | None = None


class CrossNegatives(PrivateExchange):
    """Cross-agent negatives (GradCache, Gao et al. 2021): contrast with neighbours' private batches.

    An agent sends its embeddings of both views of its next batch, and contrasts its own views by InfoNCE, in
    both directions, with the neighbours' rows as further negatives. In trees, too, agents receive from their
    parent and their children, and nothing is passed on.

    ``mode: stale`` uses the embeddings of the last `staleness` exchanges, as constants.
    ``mode: differentiable`` is exact: after the embeddings, each agent returns to each neighbour the gradient
    of its own loss with respect to that neighbour's embeddings, and in the next step, which sees the very
    same batch, the neighbour adds ``sum(embedding * gradient)`` to its loss. So the gradient of each agent's
    parameters is that of the sum of all agents' losses, as if all encoders were in one graph. Within a hybrid
    it must come after any strategy that changes parameters.

    Privacy: the embeddings are of private text, and an embedding reveals much of its text to anyone with the
    encoder, as neighbours of the same kind are: short texts have been recovered word by word (Morris et al.,
    Text Embeddings Reveal (Almost) As Much As Text, 2023). Hence it must be switched on explicitly. Use it
    where neighbours may see the text, and only the bandwidth forbids sending it.

    Sources: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021, for
    the returned gradient; He et al., Momentum Contrast, 2020, for the queue.
    """

    kind: Literal["cross_negatives"] = "cross_negatives"
    state_type: ClassVar[type[ExchangeState]] = CrossNegativesState
    previews: ClassVar[bool] = True
    addresses_each: ClassVar[bool] = True
    shares_private_embeddings: Literal[True] = Field(
        ..., description="Must be true: neighbours see embeddings of private text, which reveal it."
    )
    mode: Literal["stale", "differentiable"] = Field(
        "stale", description="Constants of the last exchanges, or exact gradients of this one."
    )
    staleness: int = Field(
        1, ge=1, le=64, description="Exchanges for which a neighbour's embeddings are kept; stale."
    )
    temperature: float = Field(0.05, gt=0.0, le=10.0, description="Divides the cosines.")

    @model_validator(mode="before")
    @classmethod
    def _switched_on_by_name(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("shares_private_embeddings") is not True:
            raise ValueError(
                "exchange.kind=cross_negatives shows neighbours embeddings of private texts, from which "
                "these can largely be recovered (embedding inversion); set "
                "exchange.shares_private_embeddings to true if they may see them, or choose an exchange "
                "of public anchors' representations, such as anchor_contrast"
            )
        return values

    @model_validator(mode="after")
    def _only_stale_ages(self) -> Self:
        if self.mode == "differentiable" and self.staleness != 1:
            raise ValueError(
                f"exchange.staleness {self.staleness} has no effect on exchange.mode=differentiable, which "
                "keeps no embeddings; drop it, or set exchange.mode to stale"
            )
        return self

    @property
    def passes(self) -> int:
        """Return 1 for the embeddings, and 2 where gradients are returned."""
        return 2 if self.mode == "differentiable" else 1

    def check(self, society: Society) -> None:
        """Refuse more than one batch between exchanges of gradients, and one-way edges."""
        if self.mode == "stale":
            return
        for name in ("local_steps", "accumulate"):
            if getattr(society, name) != 1:
                raise ValueError(
                    "exchange.mode=differentiable returns the gradient of one batch, and "
                    f"training.{name} is {getattr(society, name)}; set training.{name} to 1, or "
                    "exchange.mode to stale"
                )
        if society.network is not None and not _answers_everyone(society.network):
            raise ValueError(
                "exchange.mode=differentiable returns gradients to every sender, and in this topology an "
                "agent receives from agents that it does not send to in the same round; choose an "
                "undirected topology, such as ring, or set exchange.mode to stale"
            )

    def gradient(self, turn: Turn) -> Gradient:
        """Return the age limit of the embeddings, or that their gradient is to be returned."""
        if self.mode == "stale":
            return Gradient(kind="stale", staleness=self.staleness * self.every)
        return Gradient(kind="differentiable") if turn.passage == 0 else DETACHED

    def compose(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Send the embeddings of the next batch, or to each neighbour the gradient of its embeddings."""
        if turn.passage == 1:
            return self._gradients(learner, turn)
        batch, own_2BD = _next(learner, turn)
        return PrivateEmbeddings(values=own_2BD.cpu().numpy(), batch=batch)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept embeddings of any number of texts in the agent's width, and gradients of its own batch's."""
        width = exchange_width(learner)
        if turn.passage == 1:
            return Expected(EmbeddingGradients, {"values": (2, learner.private_batch_size, width)})
        return Expected(PrivateEmbeddings, {"values": (2, None, width)})

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce the embeddings of a batch, or a gradient for each sender; see `Exchange.announces`."""
        payload = EmbeddingGradients if turn.passage == 1 else PrivateEmbeddings
        shape = (2, learner.private_batch_size, exchange_width(learner))
        # The batch number is a scalar of the payload: with one step a round, it equals the round.
        return Announced(payload, {"values": shape}, {"batch": turn.round}, turn.passage == 1)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep embeddings by sender, those of earlier exchanges as long as they may be kept."""
        if not inbox:
            return
        state = CrossNegativesState.of(learner)
        if state.begin_round(turn):
            oldest = turn.round - (self.staleness - 1) * self.every
            state.received = {
                sender: [entry for entry in entries if entry[0] >= oldest]
                for sender, entries in state.received.items()
            }
            state.gradients = {}
        for message in inbox:
            sender, payload = message.envelope.sender, message.payload
            assert isinstance(payload, (PrivateEmbeddings, EmbeddingGradients))
            values = to_tensor(payload.values, learner)
            if isinstance(payload, EmbeddingGradients):
                state.gradients[sender] = (payload.batch, self._bounded(values))
            else:
                entry = (turn.round, payload.batch, values)
                state.received[sender] = [*state.received.get(sender, []), entry]

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Contrast the views with the neighbours' embeddings, and follow the returned gradients.

        The terms of returned gradients have the value 0, since the gradient of a normalised embedding is
        orthogonal to it; they count only in the backward pass.
        """
        received = self._received(learner, private.batch)
        gradients = [
            values
            for _, (batch, values) in sorted(CrossNegativesState.of(learner).gradients.items())
            if batch == private.batch
        ]
        if not received and not gradients:
            return None
        own = _both(learner, private)
        terms = [(own * gradient).sum() for gradient in gradients]
        if received:
            terms.append(self._contrast(learner, own, [values for _, values in received]))
        return torch.stack(terms).sum()

    def _gradients(self, learner: Learner, turn: Turn) -> Mapping[int, Payload]:
        """Return the gradient of the next step's loss, weight included, for each sender of embeddings."""
        batch, own_2BD = _next(learner, turn)
        received = [
            (each, v.clone().requires_grad_()) for each, v in self._received(learner, batch)
        ]
        if not received:
            return {}
        loss = self._contrast(learner, own_2BD, [v for _, v in received])
        gradients = torch.autograd.grad(loss, [values for _, values in received])
        return {
            sender: EmbeddingGradients(values=gradient.cpu().numpy(), batch=batch)
            for (sender, _), gradient in zip(received, gradients, strict=True)
            if sender in turn.recipients
        }

    def _received(self, learner: Learner, batch: int) -> list[tuple[int, Tensor]]:
        """Return the neighbours' embeddings by sender, in the order of their ids: of this batch, or all."""
        received = CrossNegativesState.of(learner).received
        return [
            (sender, values)
            for sender in sorted(received)
            for _, number, values in received[sender]
            if self.mode == "stale" or number == batch
        ]

    def _contrast(self, learner: Learner, own_2BD: Tensor, received: Sequence[Tensor]) -> Tensor:
        others_ND = torch.cat([values.flatten(end_dim=1) for values in received])
        directions = [
            functional.one_way(query, torch.cat([key, others_ND]), self.temperature)
            for query, key in (own_2BD.unbind(), own_2BD.flip(0).unbind())
        ]
        return self.ramped_weight(learner) * torch.stack(directions).mean()

    def _bounded(self, gradient_2BD: Tensor) -> Tensor:
        """Clip a gradient's rows to the largest norm that this loss can have: a sender may claim more."""
        # The gradient of a mean cross-entropy of cosines over the temperature.
        longest = self.weight / self.temperature
        norms: Tensor = gradient_2BD.norm(dim=-1, keepdim=True)
        return gradient_2BD / (norms / longest).clamp(min=1.0)


def _next(learner: Learner, turn: Turn) -> tuple[int, Tensor]:
    """Return the number of the agent's next batch, and its embeddings `[2, B, D]`, as constants."""

    def embed() -> tuple[int, Tensor]:
        private = learner.preview()
        return private.batch, _both(learner, private).detach()

    state = CrossNegativesState.of(learner)
    state.own = once_a_round(state.own, turn, embed)
    return state.own[1]


def _both(learner: Learner, private: PrivateBatch) -> Tensor:
    """Return the embeddings of both views, `[2, B, D]`."""
    return torch.stack([exchange_embeddings(learner, pooled) for pooled in private.pooled[:2]])


def _answers_everyone(network: Network) -> bool:
    """Return whether every edge of a round has its reverse in the same round."""
    for round in range(min(network.period or _CHECKED_ROUNDS, _CHECKED_ROUNDS)):
        edges = {edge for hop in network.hops(round) for edge in hop.edges}
        if edges != {(receiver, sender) for sender, receiver in edges}:
            return False
    return True
