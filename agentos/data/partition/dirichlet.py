"""Label proportions drawn from a Dirichlet distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.data.partition.base import Minimum, Partition, Texts
from agentos.data.partition.shares import IntArray, by_label, check_enough, required_labels, top_up

DRAWS = 10
"""Attempts at proportions that give every agent its minimum."""


class Dirichlet(Partition):
    r"""Label skew: each label divided in proportions drawn from Dirichlet(alpha).

    For every label \(k\), \(p_k \sim \mathrm{Dir}(\alpha, \ldots, \alpha)\) over the agents, and
    agent \(j\) gets a share \(p_{kj}\) of its documents; the smaller alpha, the more the agents
    differ: Yurochkin et al., "Bayesian Nonparametric Federated Learning of Neural Networks", 2019.
    (Hsu et al., "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification", 2019, draw for each agent over the labels instead, which keeps the agents equal
    in size.) The draw is repeated up to ten times while an agent gets fewer than `minimum`
    documents; after that, documents move from the largest shares to the smallest.
    """

    kind: Literal["dirichlet"] = "dirichlet"
    needs_labels: ClassVar[bool] = True
    alpha: float = Field(
        default=0.3,
        gt=0.0,
        le=1e6,
        description="Concentration: 0.1 is very skewed, 100 nearly IID.",
    )
    minimum: Minimum = 10

    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return shares of every label; see `Partition.assign`."""
        check_enough(documents, agents, self.minimum)
        groups = by_label(required_labels(labels, self.kind))
        for _ in range(DRAWS):
            shards = self._draw(groups, agents, rng)
            if min(map(len, shards)) >= self.minimum:
                return shards
        return top_up(shards, self.minimum, rng)

    def _draw(
        self, groups: Sequence[IntArray], agents: int, rng: np.random.Generator
    ) -> list[IntArray]:
        held: list[list[IntArray]] = [[] for _ in range(agents)]
        for group in groups:
            shares = rng.dirichlet(np.full(agents, self.alpha))
            cuts = np.rint(np.cumsum(shares)[:-1] * len(group)).astype(np.int64)
            for parts, part in zip(held, np.split(rng.permutation(group), cuts), strict=True):
                parts.append(part)
        return [np.sort(np.concatenate(parts)) for parts in held]
