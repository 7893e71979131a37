"""A stream in which new classes come from episode to episode."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agentos.learning.streams.base import Rows, Stream, StreamText
from protocols.seeding import generator


class ByLabel(Stream):
    """New labels in every episode: class-incremental learning, in a random order of the labels.

    Example:
        >>> stream = ByLabel(per_episode=1)
        >>> text = StreamText(["0", "1", "2"], ["one", "two", "three"], ["a", "b", "a"])
        >>> sorted(rows.tolist() for rows in stream.order(text, seed=0))
        [[0, 2], [1]]
    """

    kind: Literal["by_label"] = "by_label"
    per_episode: int = Field(2, ge=1, description="Labels that come in each episode.")
    first: int | None = Field(
        None, ge=1, description="Labels of the first episode; as many as in the others if null."
    )

    def order(self, text: StreamText, seed: int) -> list[Rows]:
        """Return the documents of each episode's labels."""
        labels = np.array(text.required_labels("the stream by_label"))
        names = generator(seed, "stream", self.kind).permutation(np.unique(labels))
        first = self.per_episode if self.first is None else self.first
        cuts = range(first, len(names), self.per_episode)
        return [np.flatnonzero(np.isin(labels, part)) for part in np.split(names, list(cuts))]
