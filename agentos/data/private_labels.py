"""Labels that agents have of their own: a few documents of each class, seen with their label by one agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

IntArray = npt.NDArray[np.int64]


class PrivateLabels(Spec):
    """Labelled documents of each agent; every other label stays unused in training.

    Example:
        >>> PrivateLabels(per_class=8, classes="own").pooled
        False
    """

    per_class: int = Field(3, ge=1, description="Labelled documents of each class for each agent.")
    classes: Literal["all", "own"] = Field(
        "all",
        description="Classes that an agent has labels of. all: every class; the documents are drawn from the "
        "whole training text, and no agent reads them otherwise. own: the classes of its private text, "
        "which the documents are drawn from.",
    )
    pooled: bool = Field(
        False,
        description="Control of a study: every agent gets the labelled documents of all agents.",
    )


def draw_beyond(
    config: PrivateLabels,
    rows: IntArray,
    codes: IntArray,
    names: Sequence[str],
    agents: int,
    seed: int,
) -> tuple[IntArray, ...]:
    """Draw each agent's labelled documents from the training text, a document for one agent at most.

    Args:
        config: its `classes` are ``all``.
        rows: `[R]`, the training documents.
        codes: `[R]`, the class of each.
        names: names of the classes.
        agents: number of agents.
        seed: seed of the run.

    Returns:
        For each agent its rows, sorted.

    Raises:
        ConfigurationError: a class has too few documents.
    """
    needed = agents * config.per_class
    parts: list[list[IntArray]] = [[] for _ in range(agents)]
    for code in np.unique(codes):
        members = rows[codes == code]
        if len(members) <= needed:
            raise ConfigurationError(
                f"the class {names[int(code)]!r} has too few training documents for private labels",
                expected=f"more than {needed}: data.private_labels.per_class {config.per_class} for each "
                f"of {agents} agents, and others to train on",
                actual=len(members),
                hint="lower data.private_labels.per_class or agents.count, or read more text",
            )
        drawn = generator(seed, "private labels", names[int(code)]).permutation(members)[:needed]
        for agent, part in enumerate(np.split(drawn, agents)):
            parts[agent].append(part)
    return tuple(np.sort(np.concatenate(part)) for part in parts)


def draw_within(
    config: PrivateLabels, shard: IntArray, codes: IntArray, agent: int, seed: int
) -> IntArray:
    """Draw an agent's labelled documents from its own; of a rare class, as many as there are.

    Args:
        config: its `classes` are ``own``.
        shard: `[R]`, the agent's documents.
        codes: `[R]`, the class of each.
        agent: number of the agent.
        seed: seed of the run.
    """
    parts = [
        generator(seed, "private labels", agent, int(code)).permutation(shard[codes == code])
        for code in np.unique(codes)
    ]
    return np.sort(np.concatenate([part[: config.per_class] for part in parts]))
