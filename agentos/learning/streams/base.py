"""Base of streams: an order in which documents come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.data.cleaning.config import NearDuplicates
from protocols.errors import ConfigurationError
from protocols.spec import Spec

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class StreamText:
    """The documents of a stream, in the order of their source.

    Attributes:
        ids: unique name of each, as its source gives it.
        texts: the texts.
        labels: the class of each; None where the source has none.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.ids)

    def required_labels(self, why: str) -> list[str]:
        """Return the label of every document.

        Raises:
            ConfigurationError: a document has none.
        """
        missing = [id for id, label in zip(self.ids, self.labels, strict=True) if label is None]
        if missing:
            raise ConfigurationError(
                f"{why} needs the label of every document",
                expected="a label for each",
                actual=f"none for {missing[0]!r} and {len(missing) - 1} others",
                hint="name the label's field in data.source, or choose another stream",
            )
        return [str(label) for label in self.labels]


class Stream(Spec, ABC):
    """A way to order documents in episodes, and to divide each into train, gate and test."""

    kind: str
    labelled: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="Share of an episode's training documents with their label.",
    )
    gate: float = Field(
        0.15, gt=0.0, lt=1.0, description="Share of an episode that the gate decides on, labelled."
    )
    test: float = Field(
        0.15, gt=0.0, lt=1.0, description="Share of an episode that only measures, labelled."
    )
    near_duplicates: NearDuplicates = Field(
        default=NearDuplicates(),
        description="Documents that count as one: only the first stays, so that none is in two parts.",
    )

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Self:
        if self.gate + self.test >= 1.0:
            raise ValueError(
                f"gate {self.gate} and test {self.test} leave nothing to train on; lower one of them"
            )
        return self

    @abstractmethod
    def order(self, text: StreamText, seed: int) -> list[Rows]:
        """Return the documents of each episode, in the order of the episodes; no document twice.

        Raises:
            ConfigurationError: the documents lack what the stream goes by.
        """
