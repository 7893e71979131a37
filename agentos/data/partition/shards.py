"""Random shares of given proportions."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agentos.data.partition.base import Partition, Texts
from agentos.data.partition.shares import IntArray, check_enough, top_up
from protocols.errors import ConfigurationError


class Shards(Partition):
    """Random shares of given proportions: the same distribution, unequal amounts."""

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
