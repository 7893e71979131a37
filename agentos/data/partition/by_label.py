"""Whole labels, packed or split to fit the number of agents."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from agentos.data.partition.base import Partition, Texts
from agentos.data.partition.shares import (
    IntArray,
    by_label,
    check_enough,
    required_labels,
    split_groups,
)


class ByLabel(Partition):
    """One label per agent; surplus labels are packed by size, scarce ones split among agents."""

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
        """Return whole labels, or parts of one; with as many labels as agents, label i goes to agent i."""
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
