"""Contrast between my embeddings of public anchors and my neighbours'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import (
    AnchorBatch,
    AnchorExchange,
    Expected,
    Learner,
    Turn,
    begin_round,
    once_a_round,
)
from agents.exchange.trust import TRUST, Equal, Trust, without_audit
from agents.lazy_torch import torch
from protocols.messages import Embeddings, Message, Payload
from protocols.spec import Kinds

if TYPE_CHECKING:
    from torch import Tensor

    from agents.objectives.base import Neighbours


class AnchorContrast(AnchorExchange):
    """Embeddings of anchors: pull mine towards a neighbour's of the same text, away from its others.

    I send my embeddings of `crops` random crops of every anchor. I keep what the neighbours last sent as
    banks. At each step one neighbour and one of its crops are drawn, and the anchors of my batch are
    contrasted with that bank. In master–slave and layered societies everybody sends its own embeddings,
    upwards and downwards: banks are never averaged, since two encoders need not share axes. With ``trust:
    agreement`` a neighbour is drawn the more often, the more it finds the same anchors alike as I do.

    Source: the contrastive distillation of Tian et al., Contrastive Representation Distillation, 2020,
    between peers as in Makhija et al., Federated Self-supervised Learning for Heterogeneous Clients, 2022.
    """

    kind: Literal["anchor_contrast"] = "anchor_contrast"
    offers_neighbours: ClassVar[bool] = True
    temperature: float = Field(0.05, gt=0.0, le=10.0, description="Divides the cosines.")
    trust: Annotated[Trust, Kinds(TRUST)] = Field(
        Equal(), description="How often each neighbour is drawn."
    )

    @property
    def asynchronous(self) -> bool:
        """Yes: a stale bank is drawn less often."""
        return True

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my embeddings of the anchors `[C, N, D]`."""
        return Embeddings(values=self._own(learner, turn).cpu().numpy())

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept embeddings of every anchor in my own width."""
        width = exchange_width(learner)
        return Expected(Embeddings, {"values": (self.crops, learner.anchor_count, width)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep what came in this round; what came in earlier rounds gives way to it."""
        if not inbox:
            return
        memory = learner.memory
        if begin_round(learner, turn):
            memory["banks"] = {}
            memory.pop("discounts", None)
        for message in inbox:
            sender = message.envelope.sender
            assert isinstance(message.payload, Embeddings)
            memory["banks"][sender] = _bank(message.payload, learner)
            if turn.discount(sender) < 1.0:
                memory.setdefault("discounts", {})[sender] = turn.discount(sender)
        banks, discounts = memory["banks"], memory.get("discounts", {})
        shares = self.trust.shares(
            learner,
            lambda: _similarity(self._own(learner, turn)),
            [_similarity(banks[sender]) for sender in sorted(banks)],
        )
        memory["shares"] = _discounted(shares, [discounts.get(each, 1.0) for each in sorted(banks)])

    def neighbours(self, learner: Learner) -> Neighbours | None:
        """Return all banks: every crop of every anchor by every neighbour that was heard."""
        from agents.objectives.base import Neighbours

        banks = learner.memory.get("banks")
        if not banks:
            return None
        sent_CND = torch.cat([banks[sender] for sender in sorted(banks)])
        crops, anchors, _ = sent_CND.shape
        ids = torch.arange(anchors, device=sent_CND.device).repeat(crops)
        return Neighbours(sent_CND.flatten(end_dim=1), ids)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Contrast the batch's anchors with one bank, drawn at random; a mean over the views."""
        from agents.objectives import functional

        banks = learner.memory.get("banks")
        anchors = without_audit(learner, anchors, self.trust.audit_share)
        if not banks or not len(anchors.ids):
            return None
        sender = sorted(banks)[_drawn(len(banks), learner.memory.get("shares"), rng)]
        bank_ND = banks[sender][int(rng.integers(self.crops))]
        head = learner.encoder.exchange_head
        losses = [
            functional.bank_contrast(head(pooled), bank_ND, anchors.ids, self.temperature)
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(losses).mean()

    def _own(self, learner: Learner, turn: Turn) -> Tensor:
        def embed() -> Tensor:
            return learner.embed_anchors(self.crops, turn.round)

        # Kept only where merging needs it again.
        return embed() if self.trust.kind == "equal" else once_a_round(learner, turn, "own", embed)


def exchange_width(learner: Learner) -> int:
    """Width of the space in which this agent's society meets."""
    head = learner.encoder.exchange_head
    return int(getattr(head, "out_features", learner.encoder.width))


def _bank(payload: Embeddings, learner: Learner) -> Tensor:
    # Copied: the payload is a view of a message buffer that is not ours to keep.
    values = torch.from_numpy(np.array(payload.values)).to(learner.parameters.device)
    return torch.nn.functional.normalize(values, dim=-1)


def _similarity(embeddings_CND: Tensor) -> Tensor:
    mean_ND = embeddings_CND.mean(dim=0)
    unit_ND = torch.nn.functional.normalize(mean_ND, dim=-1)
    return unit_ND @ unit_ND.T


def _discounted(shares: list[float] | None, discounts: list[float]) -> list[float] | None:
    """Return shares that lean away from stale banks; those given, where all are fresh."""
    if all(discount == 1.0 for discount in discounts):
        return shares
    leaning = [a * b for a, b in zip(shares or [1.0] * len(discounts), discounts, strict=True)]
    return [each / sum(leaning) for each in leaning]


def _drawn(count: int, shares: list[float] | None, rng: np.random.Generator) -> int:
    return int(rng.integers(count)) if shares is None else int(rng.choice(count, p=shares))
