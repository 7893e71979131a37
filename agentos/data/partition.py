"""Who reads what: the training documents, divided among the agents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.data.shares import (
    IntArray,
    by_label,
    check_enough,
    required_labels,
    split_groups,
    top_up,
)
from protocols.errors import ConfigurationError
from protocols.spec import Spec

Texts = Callable[[IntArray], list[str]]
Minimum = Annotated[int, Field(ge=1, description="Documents that every agent gets at least.")]
DRAWS = 10


class Partition(Spec, ABC):
    """Base of every partition: a value that divides documents among agents."""

    kind: str
    needs_labels: ClassVar[bool] = False

    @abstractmethod
    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return which documents each agent reads.

        Args:
            labels: [documents], codes from 0; None where the source has no labels.
            texts: gives the texts at some positions; to be asked for a few at a time.
            documents: how many there are.
            agents: among how many they are divided.
            rng: the only source of chance.

        Returns:
            For each agent a sorted array of positions, none empty, that together hold each position
            0..documents-1 exactly once.

        Raises:
            ConfigurationError: the documents cannot be divided so.
        """


class Iid(Partition):
    """Shuffled and divided equally: every agent reads a sample of the same text."""

    kind: Literal["iid"] = "iid"

    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return equal random shares; see `Partition.assign`."""
        check_enough(documents, agents)
        return [np.sort(part) for part in np.array_split(rng.permutation(documents), agents)]


class ByLabel(Partition):
    """One label, one agent; more labels are packed by size, fewer split among several agents."""

    kind: Literal["by_label"] = "by_label"
    needs_labels: ClassVar[bool] = True

    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return whole labels, or parts of one; with as many labels as agents, in their order."""
        check_enough(documents, agents)
        groups = by_label(required_labels(labels, self.kind))
        if len(groups) < agents:
            return split_groups(groups, agents, rng)
        if len(groups) == agents:
            return groups
        held: list[list[IntArray]] = [[] for _ in range(agents)]
        for group in sorted(groups, key=len, reverse=True):  # the largest first packs most evenly
            min(held, key=lambda parts: sum(map(len, parts))).append(group)
        return [np.sort(np.concatenate(parts)) for parts in held]


class Dirichlet(Partition):
    r"""Each label divided in proportions drawn from Dirichlet(alpha): the smaller, the less alike.

    For every label \(k\), \(p_k \sim \mathrm{Dir}(\alpha, \ldots, \alpha)\) over the agents, and
    agent \(j\) gets a share \(p_{kj}\) of its documents: Yurochkin et al., "Bayesian Nonparametric
    Federated Learning of Neural Networks", 2019. (Hsu et al., "Measuring the Effects of
    Non-Identical Data Distribution for Federated Visual Classification", 2019, draw for each agent
    over the labels instead, which keeps the agents equal in size.) It is drawn again, a few times
    at most, while an agent gets fewer than `minimum` documents; then the largest give of theirs.
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


class KMeans(Partition):
    """One cluster of like documents, one agent: non-IID without labels, from word counts."""

    kind: Literal["kmeans"] = "kmeans"
    dimension: int = Field(default=32, ge=1, le=1024, description="Width of the text features.")
    minimum: Minimum = 10

    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return one cluster for each agent; see `Partition.assign`."""
        from agentos.data.features import cluster_rows

        check_enough(documents, agents, self.minimum)
        seed = int(rng.integers(2**31))
        codes = cluster_rows(texts, documents, agents, seed, dimension=self.dimension)
        return top_up([np.flatnonzero(codes == c) for c in range(agents)], self.minimum, rng)


class Shards(Partition):
    """Shuffled and divided in given proportions: like text, unequal amounts."""

    kind: Literal["shards"] = "shards"
    sizes: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        min_length=1, description="One per agent; only their proportions count."
    )

    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return random shares of the given proportions; see `Partition.assign`."""
        if len(self.sizes) != agents:
            raise ConfigurationError(
                "data.partition.sizes does not fit the number of agents",
                expected=f"{agents} sizes",
                actual=f"{len(self.sizes)} sizes",
                hint="give one size per agent",
            )
        check_enough(documents, agents)
        shares = np.cumsum(self.sizes) / np.sum(self.sizes)
        cuts = np.rint(shares[:-1] * documents).astype(np.int64)
        shards = [np.sort(part) for part in np.split(rng.permutation(documents), cuts)]
        return top_up(shards, 1, rng)


PARTITIONS: Mapping[str, type[Partition]] = {
    "iid": Iid,
    "by_label": ByLabel,
    "dirichlet": Dirichlet,
    "kmeans": KMeans,
    "shards": Shards,
}
