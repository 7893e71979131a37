"""Pairs: one label for two texts, such as paraphrase, entailment or same author."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from agentos.tasks.kinds.base import LabelledKind, Rows
from agents.answering.pair_features import pair_features
from protocols.errors import DataError


class Pair(LabelledKind):
    """Classification of pairs of texts."""

    kind: Literal["pair"] = "pair"
    separator: str = Field(
        "\t", min_length=1, max_length=16, description="What stands between the two texts."
    )
    symmetric: bool = Field(
        True, description="Whether the label stays if the texts change places, as for paraphrases."
    )

    def texts_of(self, record: str) -> tuple[str, ...]:
        """Return the two texts.

        Raises:
            DataError: there are not two.
        """
        parts = tuple(part.strip() for part in record.split(self.separator))
        if len(parts) != 2 or not all(parts):
            raise DataError(
                "a pair needs two texts",
                expected=f"two texts with {self.separator!r} between them",
                actual=record[:60],
                hint="join the columns of the two texts, or change task.separator",
            )
        return parts

    def features(self, embedded: Sequence[Rows]) -> Rows:
        """Return what the embeddings of both texts have in common, and where they differ."""
        return pair_features(embedded[0], embedded[1], symmetric=self.symmetric)
