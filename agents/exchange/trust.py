"""How much an agent trusts each of its neighbours.

Legend: N anchors, A audit anchors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.exchange.base import AnchorBatch, Learner
from agents.lazy_torch import torch
from protocols.seeding import generator
from protocols.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor


class Trust(Spec, ABC):
    """A rule that gives each neighbour its share in what an agent learns."""

    kind: str

    @property
    def audit_share(self) -> float:
        """Share of the anchors that is only measured on, and that no exchange learns from."""
        return 0.0

    @abstractmethod
    def shares(
        self, learner: Learner, own: Callable[[], Tensor], heard: Sequence[Tensor]
    ) -> list[float] | None:
        """Return the shares of the neighbours, which sum to one; None for equal ones.

        Args:
            learner: who listens.
            own: returns its similarities of the anchors `[N, N]`.
            heard: the neighbours' `[N, N]` each, on any scale.
        """


class Equal(Trust):
    """Every neighbour the same."""

    kind: Literal["equal"] = "equal"

    def shares(
        self, learner: Learner, own: Callable[[], Tensor], heard: Sequence[Tensor]
    ) -> list[float] | None:
        """Return None."""
        return None


class Agreement(Trust):
    """More to neighbours that find the same anchors alike as I do.

    The agreement with a neighbour is the share of an audit anchor's nearest anchors that both name, a mean
    over the audit anchors: 1 for myself, about ``neighbours / N`` for noise, whatever the axes and the
    scale of an encoder. The shares are a softmax of the agreements over the neighbours heard.

    Audit anchors are drawn once from the run's seed, the same for everybody, and the exchange's loss leaves
    them out: else agents that imitate each other would trust each other for it.
    """

    kind: Literal["agreement"] = "agreement"
    audit: float = Field(
        0.25, gt=0.0, le=0.5, description="Share of the anchors held aside to measure agreement on."
    )
    neighbours: int = Field(8, ge=1, description="Nearest anchors compared, of every audit anchor.")
    temperature: float = Field(
        0.05, ge=0.01, le=10.0, description="Divides the agreements; low trusts the best alone."
    )

    @property
    def audit_share(self) -> float:
        """Share of the anchors that is only measured on."""
        return self.audit

    def shares(
        self, learner: Learner, own: Callable[[], Tensor], heard: Sequence[Tensor]
    ) -> list[float] | None:
        """Return a softmax of the agreements; None where there is no choice."""
        if len(heard) < 2:
            return None
        rows = torch.from_numpy(audit_anchors(learner, self.audit)).to(heard[0].device)
        mine = own()
        agreements = [overlap(mine, theirs, rows, self.neighbours) for theirs in heard]
        return sharpened(agreements, self.temperature)


TRUST: dict[str, type[Trust]] = {"equal": Equal, "agreement": Agreement}


def audit_anchors(learner: Learner, share: float) -> NDArray[np.int64]:
    """Return the ids of the anchors held aside, the same for everybody in a run: at least one."""
    count = max(1, round(share * learner.anchor_count))
    drawn = generator(learner.seed, "audit anchors").permutation(learner.anchor_count)
    ids: NDArray[np.int64] = np.sort(drawn[:count]).astype(np.int64)
    return ids


def without_audit(learner: Learner, anchors: AnchorBatch, share: float) -> AnchorBatch:
    """Return the anchors of a batch that an exchange may learn from."""
    if not share:
        return anchors
    held = torch.from_numpy(audit_anchors(learner, share)).to(anchors.ids.device)
    kept = ~torch.isin(anchors.ids, held)
    return AnchorBatch(anchors.ids[kept], tuple(pooled[kept] for pooled in anchors.pooled))


def nearest(similarity_NN: Tensor, neighbours: int) -> Tensor:
    """Return which anchors are among the nearest others of each: `[N, N]` bool, no anchor its own."""
    others_NN = similarity_NN.clone().fill_diagonal_(float("-inf"))
    ids_NL = others_NN.topk(min(neighbours, len(others_NN) - 1), dim=1).indices
    return torch.zeros_like(others_NN, dtype=torch.bool).scatter_(1, ids_NL, True)


def overlap(mine_NN: Tensor, theirs_NN: Tensor, rows_A: Tensor, neighbours: int) -> float:
    """Return the mean share of the nearest anchors of some anchors that two agents both name.

    Args:
        mine_NN, theirs_NN: `[N, N]` similarities, on any scales.
        rows_A: `[A]` int64, the anchors compared.
        neighbours: how many nearest others of each.

    Source: mutual nearest neighbours as in Huh et al., The Platonic Representation Hypothesis, 2024.
    """
    mine, theirs = nearest(mine_NN, neighbours)[rows_A], nearest(theirs_NN, neighbours)[rows_A]
    return float((mine & theirs).sum()) / float(mine.sum())


def sharpened(agreements: Sequence[float], temperature: float) -> list[float]:
    """Return a softmax of numbers over a temperature.

    Example:
        >>> [round(share, 3) for share in sharpened([0.5, 0.5, 0.0], 0.1)]
        [0.498, 0.498, 0.003]
    """
    scores = np.asarray(agreements, dtype=np.float64) / temperature
    weights = np.exp(scores - scores.max())
    shares: list[float] = (weights / weights.sum()).tolist()
    return shares
