"""The same share for several agents, divided by another partition."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.data.partition.base import Partition, Texts
from agentos.data.partition.iid import Iid
from agentos.data.partition.registry import DIVISIONS
from agentos.data.partition.shares import IntArray
from protocols.errors import ConfigurationError
from protocols.spec import Kinds


class Copies(Partition):
    """The same share for several agents in a row, as a control: each differs in its initial weights alone.

    With 12 agents and `copies` 3, agents 0, 1 and 2 read the first of four shares. Set
    `agents.individual_initialisation`, otherwise copies begin with equal weights.
    """

    kind: Literal["copies"] = "copies"
    divides: ClassVar[bool] = False
    of: Annotated[Partition, Kinds(DIVISIONS)] = Field(
        default_factory=Iid, description="How the documents are divided into shares."
    )
    copies: int = Field(3, ge=1, description="Agents that read each share.")

    @property
    def wants_labels(self) -> bool:
        """Whether the documents need labels: as those of `of` do."""
        return self.of.wants_labels

    def assign(
        self,
        labels: IntArray | None,
        texts: Texts,
        documents: int,
        agents: int,
        rng: np.random.Generator,
    ) -> list[IntArray]:
        """Return each share of `of` so many times in a row; see `Partition.assign`."""
        if agents % self.copies:
            raise ConfigurationError(
                f"{agents} agents cannot be grouped by {self.copies} that read the same",
                expected=f"a multiple of {self.copies}",
                actual=agents,
                hint="change agents.count, or data.partition.copies",
            )
        shares = self.of.assign(labels, texts, documents, agents // self.copies, rng)
        return [share for share in shares for _ in range(self.copies)]
