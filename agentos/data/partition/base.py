"""Base of partitions: how training documents are divided among agents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from agentos.data.partition.shares import IntArray
from protocols.spec import Spec

Texts = Callable[[IntArray], list[str]]
"""Returns the texts at some positions."""

Minimum = Annotated[int, Field(ge=1, description="Documents that every agent gets at least.")]


class Partition(Spec, ABC):
    """Base of every partition: a specification that divides documents among agents."""

    kind: str
    needs_labels: ClassVar[bool] = False
    divides: ClassVar[bool] = True
    """Whether each document goes to exactly one agent; otherwise to agents whose shares are equal."""

    @property
    def wants_labels(self) -> bool:
        """Whether the documents need labels: by default, as the kind does."""
        return self.needs_labels

    @abstractmethod
    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return the documents of each agent.

        Args:
            labels: `[documents]`, codes from 0; None if the source has no labels.
            texts: reads the texts at some positions; call it for a few at a time.
            documents: number of documents.
            agents: number of agents.
            rng: the only source of randomness.

        Returns:
            A sorted, non-empty array of positions per agent; together they hold each position
            0..documents-1 exactly once (where `divides` is false, equal arrays count once).

        Raises:
            ConfigurationError: the documents cannot be divided this way.
        """
