"""The kind of a task, and what all kinds share whose answers are class probabilities.

Shapes: N items, D embedding width, F width of an item's features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.data.sources import SOURCES
from agentos.data.sources.base import Source
from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Kinds, Spec

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Items:
    """The items of a task.

    Attributes:
        texts: the texts of each item: one, or two for a pair.
        labels: label of each item.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


class TaskKind(Spec):
    """Base of every kind of task."""

    kind: str


class LabelledKind(TaskKind, ABC):
    """Base of every kind of task whose answers are class probabilities."""

    source: Annotated[Source, Kinds(SOURCES)] = Field(
        ..., description="Labelled texts; the kinds of data.source of a run."
    )
    shots: int | None = Field(
        None,
        ge=2,
        description="Labelled texts of each class that agents are fitted on, at most; unset: all of `fit`.",
    )
    max_length: int = Field(
        32, ge=3, le=4096, description="Tokens of a text, special tokens included."
    )
    limit: int = Field(4000, ge=10, le=1_000_000, description="Texts that are used, at most.")

    def read(self, seed: int) -> Items:
        """Return the labelled items of the source, or a sample of them, in the source's order.

        Raises:
            DataError: the source cannot be read.
            ConfigurationError: a text has no label.
        """
        texts, labels = [], []
        for document in self.source.documents():
            if document.label is None:
                raise ConfigurationError(
                    f"the text {document.id} has no label",
                    expected="a label for every text of a task",
                    hint="name the column of labels in task.source.label",
                )
            texts.append(self.texts_of(document.text))
            labels.append(document.label)
        chosen = generator(seed, "task", "sample").permutation(len(texts))[: self.limit]
        kept = np.sort(chosen).tolist()
        return Items(tuple(texts[row] for row in kept), tuple(labels[row] for row in kept))

    @abstractmethod
    def texts_of(self, record: str) -> tuple[str, ...]:
        """Return the texts of the item in a record, or in what a user asks."""

    @abstractmethod
    def features(self, embedded: Sequence[Rows]) -> Rows:
        """Return `[N, F]`, what heads read, from the embeddings `[N, D]` of each text of the items."""
