"""Clusters of similar documents."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agentos.data.partition.base import Minimum, Partition, Texts
from agentos.data.partition.shares import IntArray, check_enough, top_up
from agentos.data.text_clusters import cluster_rows


class KMeans(Partition):
    """One cluster of similar documents per agent: non-IID without labels, from word counts."""

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
        check_enough(documents, agents, self.minimum)
        seed = int(rng.integers(2**31))
        codes = cluster_rows(texts, documents, agents, seed, dimension=self.dimension)
        return top_up([np.flatnonzero(codes == c) for c in range(agents)], self.minimum, rng)
