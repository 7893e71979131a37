"""Arithmetic of shares: arrays of positions that together hold each document exactly once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from protocols.errors import ConfigurationError

IntArray = npt.NDArray[np.int64]


def check_shards(
    shards: Sequence[IntArray], documents: int, agents: int, divides: bool = True
) -> None:
    """Refuse shares that lose or repeat documents or leave an agent none, as a custom partition might.

    Unless `divides`, agents may have equal shares, which count once.

    Raises:
        ConfigurationError: there is not one share per agent, one is empty, or they do not hold
            each of the documents exactly once.
    """
    if len(shards) != agents or not all(len(shard) for shard in shards):
        raise ConfigurationError(
            "the partition leaves an agent without text",
            expected=f"{agents} shares, none empty",
            actual=[len(shard) for shard in shards],
            hint="use fewer agents, more documents or another data.partition",
        )
    once = shards if divides else list({share.tobytes(): share for share in shards}.values())
    if not np.array_equal(np.sort(np.concatenate(once)), np.arange(documents)):
        raise ConfigurationError(
            "the partition loses or repeats documents",
            expected=f"each position below {documents} exactly once",
            hint="correct the partition's assign method",
        )


def check_enough(documents: int, agents: int, minimum: int = 1) -> None:
    """Refuse fewer documents than every agent's minimum requires.

    Raises:
        ConfigurationError: there are fewer documents.
    """
    if documents < agents * minimum:
        raise ConfigurationError(
            "there are too few training documents for the agents",
            expected=f"at least {agents * minimum} ({agents} agents, {minimum} each)",
            actual=documents,
            hint="use fewer agents or more text, or lower data.partition.minimum, data.anchors "
            "or data.heldout",
        )


def required_labels(labels: IntArray | None, kind: str) -> IntArray:
    """Return the labels, for a partition that requires them.

    Raises:
        ConfigurationError: there are no labels.
    """
    if labels is None:
        raise ConfigurationError(
            f"data.partition.kind: {kind} needs labels, and the documents have none",
            hint="name a label column in data.source, or use data.partition.kind: iid or kmeans",
        )
    return labels


def by_label(labels: IntArray) -> list[IntArray]:
    """Return the positions of each label, in the order of the labels."""
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def split_groups(
    groups: Sequence[IntArray], agents: int, rng: np.random.Generator
) -> list[IntArray]:
    """Give each label one agent, and every further agent to the label with the most documents each."""
    readers = [1] * len(groups)
    for _ in range(agents - len(groups)):
        crowded = max(range(len(groups)), key=lambda g: len(groups[g]) / readers[g])
        readers[crowded] += 1
    return [
        np.sort(part)
        for group, count in zip(groups, readers, strict=True)
        for part in np.array_split(rng.permutation(group), count)
    ]


def top_up(shards: Sequence[IntArray], minimum: int, rng: np.random.Generator) -> list[IntArray]:
    """Move random documents from the largest shares until every share has the minimum."""
    filled = [np.sort(shard) for shard in shards]
    while len(filled[smallest := int(np.argmin([len(s) for s in filled]))]) < minimum:
        largest = int(np.argmax([len(s) for s in filled]))
        # As many as the smallest lacks, without taking the largest below the minimum itself.
        spare = min(minimum - len(filled[smallest]), len(filled[largest]) - minimum)
        moved = rng.choice(filled[largest], size=spare, replace=False)
        filled[largest] = np.setdiff1d(filled[largest], moved)
        filled[smallest] = np.union1d(filled[smallest], moved)
    return filled
