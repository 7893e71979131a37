"""Neighbours' embeddings of their own private batches, as negatives for mine.

Legend: B private texts in a batch, N of all neighbours, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.anchors.anchor_contrast import exchange_width
from agents.exchange.base import (
    Announced,
    Expected,
    Learner,
    PrivateBatch,
    Society,
    Turn,
    begin_round,
    once_a_round,
)
from agents.exchange.private.base import PrivateExchange, meeting
from agents.lazy_torch import torch
from protocols.messages import (
    DETACHED,
    EmbeddingGradients,
    Gradient,
    Message,
    Payload,
    PrivateEmbeddings,
)
from protocols.topologies.network import Network

if TYPE_CHECKING:
    from torch import Tensor

_WATCHED_ROUNDS = 32


class CrossNegatives(PrivateExchange):
    """Neighbours' private batches as negatives: tell my texts from theirs. Shows them their embeddings.

    I send my embeddings of both views of my next batch, and tell my own views apart from each other's texts
    and from all that my neighbours sent: InfoNCE, in both directions, with their rows as further negatives.
    In trees, too, everybody hears its parent and its children, and nothing is passed on.

    ``mode: stale`` takes what came in the last `staleness` exchanges, as constants. ``mode: differentiable``
    is exact: after the embeddings, everybody returns to each neighbour the gradient of its own loss with
    respect to what that neighbour sent, and in the next step, which sees the very same batch, the neighbour
    adds ``sum(embedding * gradient)`` to its loss. So the gradient of each agent's parameters is that of the
    sum of all agents' losses, as if all encoders were in one graph. Within a hybrid it must come after
    whatever changes parameters.

    What leaks: the embeddings are of private text, and an embedding gives much of its text away to whoever
    has the encoder, as neighbours of the same kind do: short texts have been recovered word by word (Morris
    et al., Text Embeddings Reveal (Almost) As Much As Text, 2023). Hence it must be switched on by name. Use
    it where neighbours may see the text, and only the bandwidth forbids sending it.

    Sources: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021, for
    the returned gradient; He et al., Momentum Contrast, 2020, for the queue.
    """

    kind: Literal["cross_negatives"] = "cross_negatives"
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
                "that speaks of public anchors, such as anchor_contrast"
            )
        return values

    @model_validator(mode="after")
    def _only_stale_ages(self) -> Self:
        if self.mode == "differentiable" and self.staleness != 1:
            raise ValueError(
                f"exchange.staleness {self.staleness} means nothing to exchange.mode=differentiable, which "
                "keeps nothing; drop it, or set exchange.mode to stale"
            )
        return self

    @property
    def passes(self) -> int:
        """One for the embeddings, and where gradients return another."""
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
                "exchange.mode=differentiable answers whoever is heard, and in this topology an agent "
                "hears some to whom it does not speak in the same round; choose a topology without a "
                "direction, such as ring, or set exchange.mode to stale"
            )

    def gradient(self, turn: Turn) -> Gradient:
        """Say how old embeddings may get, or that their gradient is to be returned."""
        if self.mode == "stale":
            return Gradient(kind="stale", staleness=self.staleness * self.every)
        return Gradient(kind="differentiable") if turn.passage == 0 else DETACHED

    def compose(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Send my embeddings of my next batch, or to each neighbour the gradient that is its own."""
        if turn.passage == 1:
            return self._answers(learner, turn)
        batch, own_2BD = _next(learner, turn)
        return PrivateEmbeddings(values=own_2BD.cpu().numpy(), batch=batch)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept embeddings of any number of texts in my own width; gradients, of those of my batch."""
        width = exchange_width(learner)
        if turn.passage == 1:
            return Expected(EmbeddingGradients, {"values": (2, learner.private_batch_size, width)})
        return Expected(PrivateEmbeddings, {"values": (2, None, width)})

    def announces(
        self, learner: Learner, turn: Turn, spoken_for: Sequence[int]
    ) -> Announced | None:
        """Announce the embeddings of a batch, or an answer to each; see `Exchange.announces`."""
        payload = EmbeddingGradients if turn.passage == 1 else PrivateEmbeddings
        shape = (2, learner.private_batch_size, exchange_width(learner))
        # The number of the batch stands in the header: with one step a round, that of the round.
        return Announced(payload, {"values": shape}, {"batch": turn.round}, turn.passage == 1)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep embeddings by sender, those of earlier exchanges as long as they may be kept."""
        if not inbox:
            return
        memory = learner.memory
        if begin_round(learner, turn):
            oldest = turn.round - (self.staleness - 1) * self.every
            kept = memory.get("heard", {})
            memory["heard"] = {
                sender: [entry for entry in entries if entry[0] >= oldest]
                for sender, entries in kept.items()
            }
            memory["answers"] = {}
        for message in inbox:
            sender, payload = message.envelope.sender, message.payload
            assert isinstance(payload, (PrivateEmbeddings, EmbeddingGradients))
            # Copied: the payload is a view of a message buffer that is not ours to keep.
            values = torch.from_numpy(np.array(payload.values)).to(learner.parameters.device)
            if isinstance(payload, EmbeddingGradients):
                memory["answers"][sender] = (payload.batch, self._bounded(values))
            else:
                entry = (turn.round, payload.batch, values)
                memory["heard"][sender] = [*memory["heard"].get(sender, []), entry]

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Contrast my views with each other's and the neighbours'; follow the gradients that returned.

        The latter's value is nothing: a gradient is at right angles to the embedding that it is of.
        """
        heard = self._heard(learner, private.batch)
        answers = [
            values
            for _, (batch, values) in sorted(learner.memory.get("answers", {}).items())
            if batch == private.batch
        ]
        if not heard and not answers:
            return None
        own = _both(learner, private)
        terms = [(own * answer).sum() for answer in answers]
        if heard:
            terms.append(self._contrast(learner, own, [values for _, values in heard]))
        return torch.stack(terms).sum()

    def _answers(self, learner: Learner, turn: Turn) -> Mapping[int, Payload]:
        """Return the gradient of my next step's loss, weight included, for each that sent embeddings."""
        batch, own_2BD = _next(learner, turn)
        heard = [(each, v.clone().requires_grad_()) for each, v in self._heard(learner, batch)]
        if not heard:
            return {}
        loss = self._contrast(learner, own_2BD, [v for _, v in heard])
        gradients = torch.autograd.grad(loss, [values for _, values in heard])
        return {
            sender: EmbeddingGradients(values=gradient.cpu().numpy(), batch=batch)
            for (sender, _), gradient in zip(heard, gradients, strict=True)
            if sender in turn.recipients
        }

    def _heard(self, learner: Learner, batch: int) -> list[tuple[int, Tensor]]:
        """Return what neighbours sent, in the order of their ids: exactly of this batch, or all."""
        heard = learner.memory.get("heard", {})
        return [
            (sender, values)
            for sender in sorted(heard)
            for _, of, values in heard[sender]
            if self.mode == "stale" or of == batch
        ]

    def _contrast(self, learner: Learner, own_2BD: Tensor, heard: Sequence[Tensor]) -> Tensor:
        from agents.objectives import functional

        others_ND = torch.cat([values.flatten(end_dim=1) for values in heard])
        directions = [
            functional.one_way(query, torch.cat([key, others_ND]), self.temperature)
            for query, key in (own_2BD.unbind(), own_2BD.flip(0).unbind())
        ]
        return self.ramped_weight(learner) * torch.stack(directions).mean()

    def _bounded(self, gradient_2BD: Tensor) -> Tensor:
        """Return a gradient whose rows are no longer than those of any such loss can be."""
        # A mean of softmax probabilities of cosines, which they divide by the temperature.
        longest = self.weight / self.temperature
        norms: Tensor = gradient_2BD.norm(dim=-1, keepdim=True)
        return gradient_2BD / (norms / longest).clamp(min=1.0)


def _next(learner: Learner, turn: Turn) -> tuple[int, Tensor]:
    """Return the number of the agent's next batch, and its embeddings `[2, B, D]`, as constants."""

    def embed() -> tuple[int, Tensor]:
        private = learner.preview()
        return private.batch, _both(learner, private).detach()

    return once_a_round(learner, turn, "own", embed)


def _both(learner: Learner, private: PrivateBatch) -> Tensor:
    """Return the embeddings of both views, `[2, B, D]`."""
    return torch.stack([meeting(learner, pooled) for pooled in private.pooled[:2]])


def _answers_everyone(network: Network) -> bool:
    """Whether in each round every edge that carries there also carries back."""
    for round in range(min(network.period or _WATCHED_ROUNDS, _WATCHED_ROUNDS)):
        edges = {edge for hop in network.hops(round) for edge in hop.edges}
        if edges != {(receiver, sender) for sender, receiver in edges}:
            return False
    return True
