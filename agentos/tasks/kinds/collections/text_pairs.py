"""Pairs of a query and a document that answers it, one a row."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.evaluation.beir import Judged
from agentos.evaluation.task_files import records, text_of
from agentos.tasks.kinds.collections.base import Collection, joined


class TextPairs(Collection):
    """Rows of a query and a document that answers it, such as a message and its reply."""

    kind: Literal["pairs"] = "pairs"
    path: str = Field(
        ..., min_length=1, description="A .parquet, .jsonl, .csv or .tsv file, also compressed."
    )
    query: str = Field("query", min_length=1, description="Column of the query.")
    document: str = Field("document", min_length=1, description="Column of the document.")

    def read(self) -> Judged:
        """Return every query and every document once; see `Collection.read`."""
        return joined(
            (text_of(where, self.query, row).strip(), text_of(where, self.document, row).strip())
            for where, row in records(self.path, (self.query, self.document))
        )
