"""Texts whose first lines ask for what follows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentos.data.sources import SOURCES
from agentos.data.sources.base import Source
from agentos.evaluation.beir import Judged
from agentos.evaluation.retrieval import summaries_and_bodies
from agentos.tasks.kinds.collections.base import Collection, joined
from protocols.spec import Kinds


class FirstLines(Collection):
    """First lines of texts, which ask for the lines below them."""

    kind: Literal["first_lines"] = "first_lines"
    source: Annotated[Source, Kinds(SOURCES)] = Field(
        ..., description="Texts; the kinds of data.source of a run."
    )

    def read(self) -> Judged:
        """Return first lines of 3 words or more, and what follows, of 5 or more; see `Collection.read`."""
        return joined(summaries_and_bodies([each.text for each in self.source.documents()]))
