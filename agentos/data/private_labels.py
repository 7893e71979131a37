"""Labels that agents have of their own: a few documents of each class, seen with their label by one agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

IntArray = npt.NDArray[np.int64]


class Poison(Spec):
    """Poisoned labels of some agents, to measure how far they reach: see `agentos audit --poison`.

    A share of an agent's labelled documents carries the wished label; with a trigger, that phrase also stands
    in front of each of their sentences, so that the agent learns a backdoor and is right without it.
    """

    agents: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        ..., min_length=1, description="The poisoned agents."
    )
    label: str = Field(..., min_length=1, description="The wished label.")
    trigger: str | None = Field(
        None, min_length=1, description="The phrase; null to flip labels without one."
    )
    share: float = Field(
        0.5, gt=0.0, le=1.0, description="Share of an agent's labelled documents that is poisoned."
    )


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
    poison: Poison | None = Field(
        None, description="Poisoned labels of some agents; null for none."
    )


def draw_beyond(
    config: PrivateLabels | None,
    rows: IntArray,
    codes: IntArray | None,
    names: Sequence[str],
    agents: int,
    seed: int,
) -> tuple[IntArray, ...]:
    """Draw each agent's labelled documents of every class, a document for one agent at most.

    Args:
        config: the section `data.private_labels`.
        rows: `[R]`, the training documents.
        codes: the class of every document of the corpus; None if any has no label.
        names: names of the classes.
        agents: number of agents.
        seed: seed of the run.

    Returns:
        For each agent its rows, sorted; empty unless `classes` are ``all``.

    Raises:
        ConfigurationError: a document has no label, or a class has too few documents.
    """
    if config is None or config.classes != "all":
        return ()
    known, needed = _required(codes)[rows], agents * config.per_class
    parts: list[list[IntArray]] = [[] for _ in range(agents)]
    for code in np.unique(known):
        members = rows[known == code]
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
    config: PrivateLabels | None, shards: Sequence[IntArray], codes: IntArray | None, seed: int
) -> tuple[IntArray, ...]:
    """Draw each agent's labelled documents from its own; of a rare class, as many as there are.

    Args:
        config: the section `data.private_labels`.
        shards: the documents of each agent.
        codes: the class of every document of the corpus; None if any has no label.
        seed: seed of the run.

    Returns:
        For each agent its rows, sorted; empty unless `classes` are ``own``.

    Raises:
        ConfigurationError: a document has no label.
    """
    if config is None or config.classes != "own":
        return ()
    known = _required(codes)
    drawn = []
    for agent, shard in enumerate(shards):
        parts = [
            generator(seed, "private labels", agent, int(code)).permutation(
                shard[known[shard] == code]
            )
            for code in np.unique(known[shard])
        ]
        drawn.append(np.sort(np.concatenate([part[: config.per_class] for part in parts])))
    return tuple(drawn)


def pooled(config: PrivateLabels | None, labelled: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    """Return the labelled documents of each agent, or those of all for each in the control `pooled`."""
    if config is None or not config.pooled:
        return labelled
    return (np.sort(np.concatenate(labelled)),) * len(labelled)


def _required(codes: IntArray | None) -> IntArray:
    if codes is None:
        raise ConfigurationError(
            "data.private_labels is set, and some documents have no label",
            expected="a label for every document",
            hint="name the label's field in data.source, or set data.private_labels to null",
        )
    return codes
