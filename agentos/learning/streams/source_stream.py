"""A stream that goes from one source of documents to the next."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from agentos.learning.streams.base import Rows, Stream, StreamText
from agentos.learning.streams.time_stream import compilable, keys
from protocols.seeding import generator


class BySource(Stream):
    """One source after another: files, packages or authors, told by the ids of documents."""

    kind: Literal["by_source"] = "by_source"
    pattern: str = Field(
        r"^([^:]*)",
        description="Regular expression whose one group finds the source in an id; by default the file, or "
        "the package of a docstring.",
    )
    shuffled: bool = Field(
        True, description="Whether sources come in a random order; else in that of the text."
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return compilable(value)

    def order(self, text: StreamText, seed: int) -> list[Rows]:
        """Return the documents of each source."""
        found = np.array(keys(text, self.pattern))
        names, first = np.unique(found, return_index=True)
        names = names[np.argsort(first)]
        if self.shuffled:
            names = generator(seed, "stream", self.kind).permutation(names)
        return [np.flatnonzero(found == name) for name in names]
