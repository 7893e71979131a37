"""Equal random shares."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentos.data.partition.base import Partition, Texts
from agentos.data.partition.shares import IntArray, check_enough


class Iid(Partition):
    """Equal random shares: every agent reads a sample of the same distribution."""

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
