"""Trust: the share of each neighbour in what an agent learns.

Legend: N anchors, A audit anchors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.exchange.base import AnchorBatch, Learner
from agents.lazy_torch import Tensor, torch
from protocols.seeding import generator
from protocols.spec import Spec


class Trust(Spec, ABC):
    """A rule that gives each neighbour its share in what an agent learns."""

    kind: str

    @property
    def audit_share(self) -> float:
        """Share of anchors that are used for measuring only, and excluded from the loss."""
        return 0.0

    @abstractmethod
    def shares(
        self, learner: Learner, own: Callable[[], Tensor], received: Sequence[Tensor]
    ) -> list[float] | None:
        """Return the shares of the neighbours, which sum to one; None for equal shares.

        Args:
            learner: the receiver.
            own: returns its similarities of the anchors `[N, N]`.
            received: the neighbours' `[N, N]` each, on any scale.
        """


class Equal(Trust):
    """Equal trust: every neighbour has the same share."""

    kind: Literal["equal"] = "equal"

    def shares(
        self, learner: Learner, own: Callable[[], Tensor], received: Sequence[Tensor]
    ) -> list[float] | None:
        """Return None."""
        return None


class Agreement(Trust):
    """Agreement (mutual nearest neighbours, Huh et al. 2024): trust those with similar neighbourhoods more.

    The agreement with a neighbour is the share of an audit anchor's nearest anchors that both agents have in
    common, a mean over the audit anchors: 1 with itself, about ``neighbours / N`` with noise, independent of
    an encoder's axes and scale. The shares are a softmax of the agreements over the neighbours received.

    Audit anchors are drawn once from the run's seed, the same for all agents, and excluded from the
    exchange's loss: otherwise agents that imitate each other would gain trust by it.
    """

    kind: Literal["agreement"] = "agreement"
    audit: float = Field(
        0.25, gt=0.0, le=0.5, description="Share of anchors held out to measure agreement on."
    )
    neighbours: int = Field(
        8, ge=1, description="Nearest anchors of each audit anchor that are compared."
    )
    temperature: float = Field(
        0.05,
        ge=0.01,
        le=10.0,
        description="Divides the agreements; a low one trusts only the best.",
    )

    @property
    def audit_share(self) -> float:
        """Share of anchors that are used for measuring only."""
        return self.audit

    def shares(
        self, learner: Learner, own: Callable[[], Tensor], received: Sequence[Tensor]
    ) -> list[float] | None:
        """Return a softmax of the agreements; None for fewer than two neighbours."""
        if len(received) < 2:
            return None
        rows = torch.from_numpy(audit_anchors(learner, self.audit)).to(received[0].device)
        mine = own()
        agreements = [overlap(mine, theirs, rows, self.neighbours) for theirs in received]
        return sharpened(agreements, self.temperature)


TRUST: dict[str, type[Trust]] = {"equal": Equal, "agreement": Agreement}


def audit_anchors(learner: Learner, share: float) -> NDArray[np.int64]:
    """Return the ids of the audit anchors, the same for all agents of a run: at least one."""
    count = max(1, round(share * learner.anchor_count))
    drawn = generator(learner.seed, "audit anchors").permutation(learner.anchor_count)
    ids: NDArray[np.int64] = np.sort(drawn[:count]).astype(np.int64)
    return ids


def without_audit(learner: Learner, anchors: AnchorBatch, share: float) -> AnchorBatch:
    """Return a batch without its audit anchors."""
    if not share:
        return anchors
    held = torch.from_numpy(audit_anchors(learner, share)).to(anchors.ids.device)
    kept = ~torch.isin(anchors.ids, held)
    return AnchorBatch(anchors.ids[kept], tuple(pooled[kept] for pooled in anchors.pooled))


def nearest(similarity_NN: Tensor, neighbours: int) -> Tensor:
    """Return a mask `[N, N]` of the nearest other anchors of each; no anchor is its own neighbour."""
    others_NN = similarity_NN.clone().fill_diagonal_(float("-inf"))
    ids_NL = others_NN.topk(min(neighbours, len(others_NN) - 1), dim=1).indices
    return torch.zeros_like(others_NN, dtype=torch.bool).scatter_(1, ids_NL, True)


def overlap(mine_NN: Tensor, theirs_NN: Tensor, rows_A: Tensor, neighbours: int) -> float:
    """Return the mean share of nearest anchors that two agents have in common.

    Args:
        mine_NN, theirs_NN: `[N, N]` similarities, on any scales.
        rows_A: `[A]` int64, the anchors compared.
        neighbours: number of nearest neighbours of each.

    Source: Huh et al., The Platonic Representation Hypothesis, 2024, for mutual nearest neighbours.
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
