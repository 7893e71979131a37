"""Ranking: the documents of a corpus that answer a query, such as the best reply from a bank."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.data.partition import Iid, Partition
from agentos.data.partition.registry import DIVISIONS
from agentos.tasks.kinds.base import TaskKind
from agentos.tasks.kinds.collections import COLLECTIONS, Collection
from protocols.spec import Kinds


class Rank(TaskKind):
    """Search: the documents of a spread corpus that answer a query, the best first."""

    kind: Literal["rank"] = "rank"
    source: Annotated[Collection, Kinds(COLLECTIONS)] = Field(
        ..., description="Queries, documents, and which documents are relevant to which query."
    )
    spread: Annotated[Partition, Kinds(DIVISIONS)] = Field(
        Iid(), description="How the documents are spread over the agents."
    )
    agents: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Agents that hold documents; models are dealt out to them in turn. Unset: one a model.",
    )
    holders: int = Field(1, ge=1, description="Agents that hold each document.")
    depth: int = Field(
        20, ge=10, le=1000, description="Documents that an agent returns for a query, at most."
    )
    max_length: int = Field(
        32, ge=3, le=4096, description="Tokens of a text, special tokens included."
    )
    queries: int = Field(1000, ge=10, le=100_000, description="Queries that are used, at most.")
    documents: int = Field(
        20_000, ge=10, le=1_000_000, description="Documents that a corpus may have, at most."
    )

    @model_validator(mode="after")
    def _spreads_without_labels(self) -> Self:
        if self.spread.wants_labels:
            raise ValueError(
                f"spread.kind {self.spread.kind} needs labels, and documents have none"
            )
        return self
