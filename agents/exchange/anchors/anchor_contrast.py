"""Contrast between an agent's embeddings of public anchors and its neighbours'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.base import (
    AnchorBatch,
    ExchangeState,
    Expected,
    Learner,
    RoundState,
    Turn,
    exchange_width,
    once_a_round,
    to_tensor,
)
from agents.exchange.trust import TRUST, Equal, Trust, without_audit
from agents.lazy_torch import F, Tensor, torch
from agents.objectives import functional
from agents.objectives.base import Neighbours
from protocols.messages import Embeddings, Message, Payload
from protocols.spec import Kinds


@dataclass
class AnchorContrastState(RoundState):
    """Latest embeddings by each neighbour.

    Attributes:
        banks: `[C, N, D]` by sender, normalised.
        discounts: weight of each stale bank by sender; fresh banks are left out.
        shares: probability of drawing each bank, in the order of their senders; None for equal shares.
        own: round, and the agent's own embeddings `[C, N, D]` in it.
    """

    banks: dict[int, Tensor] = field(default_factory=dict)
    discounts: dict[int, float] = field(default_factory=dict)
    shares: list[float] | None = None
    own: tuple[int, Tensor] | None = None


class AnchorContrast(AnchorExchange):
    """Anchor contrast (after CRD, Tian et al. 2020): contrast anchor embeddings with a neighbour's.

    An agent sends its embeddings of `crops` random crops of every anchor, and keeps those that its
    neighbours last sent as banks. At each step one neighbour and one of its crops are drawn, and the anchors
    of the batch are contrasted with that bank. In master–slave and layered societies all agents send their
    own embeddings, upwards and downwards: banks are never averaged, since two encoders need not share axes.
    With ``trust: agreement`` neighbours whose anchors have similar neighbourhoods are drawn more often.

    Source: Tian et al., Contrastive Representation Distillation, 2020, between peers as in Makhija et al.,
    Federated Self-supervised Learning for Heterogeneous Clients, 2022.
    """

    kind: Literal["anchor_contrast"] = "anchor_contrast"
    state_type: ClassVar[type[ExchangeState]] = AnchorContrastState
    offers_neighbours: ClassVar[bool] = True
    temperature: float = Field(0.05, gt=0.0, le=10.0, description="Divides the cosines.")
    trust: Annotated[Trust, Kinds(TRUST)] = Field(
        Equal(), description="How often each neighbour is drawn."
    )

    @property
    def asynchronous(self) -> bool:
        """Return True: a stale bank is drawn less often."""
        return True

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's embeddings of the anchors `[C, N, D]`."""
        return Embeddings(values=self._own(learner, turn).cpu().numpy())

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept embeddings of every anchor in the agent's own width."""
        width = exchange_width(learner)
        return Expected(Embeddings, {"values": (self.crops, learner.anchor_count, width)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep the banks of this round; they replace those of earlier rounds."""
        if not inbox:
            return
        state = AnchorContrastState.of(learner)
        if state.begin_round(turn):
            state.banks = {}
            state.discounts = {}
        for message in inbox:
            sender = message.envelope.sender
            assert isinstance(message.payload, Embeddings)
            bank_CND = to_tensor(message.payload.values, learner)
            state.banks[sender] = F.normalize(bank_CND, dim=-1)
            if turn.discount(sender) < 1.0:
                state.discounts[sender] = turn.discount(sender)
        senders = sorted(state.banks)
        shares = self.trust.shares(
            learner,
            lambda: _similarity(self._own(learner, turn)),
            [_similarity(state.banks[sender]) for sender in senders],
        )
        state.shares = _discounted(shares, [state.discounts.get(each, 1.0) for each in senders])

    def neighbours(self, learner: Learner) -> Neighbours | None:
        """Return all banks: every crop of every anchor by every neighbour."""
        banks = AnchorContrastState.of(learner).banks
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
        state = AnchorContrastState.of(learner)
        anchors = without_audit(learner, anchors, self.trust.audit_share)
        if not state.banks or not len(anchors.ids):
            return None
        sender = sorted(state.banks)[_draw(len(state.banks), state.shares, rng)]
        bank_ND = state.banks[sender][int(rng.integers(self.crops))]
        head = learner.encoder.exchange_head
        losses = [
            functional.bank_contrast(head(pooled), bank_ND, anchors.ids, self.temperature)
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(losses).mean()

    def _own(self, learner: Learner, turn: Turn) -> Tensor:
        def embed() -> Tensor:
            return learner.embed_anchors(self.crops, turn.round)

        if self.trust.kind == "equal":
            return embed()  # not cached: merging needs them only for trust
        state = AnchorContrastState.of(learner)
        state.own = once_a_round(state.own, turn, embed)
        return state.own[1]


def _similarity(embeddings_CND: Tensor) -> Tensor:
    unit_ND = F.normalize(embeddings_CND.mean(dim=0), dim=-1)
    return unit_ND @ unit_ND.T


def _discounted(shares: list[float] | None, discounts: list[float]) -> list[float] | None:
    """Return shares that lean away from stale banks; the given shares if all are fresh."""
    if all(discount == 1.0 for discount in discounts):
        return shares
    leaning = [a * b for a, b in zip(shares or [1.0] * len(discounts), discounts, strict=True)]
    return [each / sum(leaning) for each in leaning]


def _draw(count: int, shares: list[float] | None, rng: np.random.Generator) -> int:
    return int(rng.integers(count)) if shares is None else int(rng.choice(count, p=shares))
