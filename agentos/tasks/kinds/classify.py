"""Classification: one label for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentos.tasks.kinds.base import LabelledKind, Rows


class Classify(LabelledKind):
    """Classification of texts."""

    kind: Literal["classify"] = "classify"

    def texts_of(self, record: str) -> tuple[str, ...]:
        """Return the text itself."""
        return (record,)

    def features(self, embedded: Sequence[Rows]) -> Rows:
        """Return the embedding of the text."""
        return embedded[0]
