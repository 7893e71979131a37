"""A folder in BEIR's layout."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.evaluation.beir import Judged, read_folder
from agentos.tasks.kinds.collections.base import Collection


class Beir(Collection):
    """A folder of ``corpus.jsonl``, ``queries.jsonl`` and judgements.

    Source: Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
    Models, 2021.
    """

    kind: Literal["beir"] = "beir"
    path: str = Field(..., min_length=1, description="The folder.")
    qrels: str = Field(
        "qrels/test.tsv", min_length=1, description="File of judgements in the folder."
    )

    def read(self) -> Judged:
        """Return the judged queries, and the whole corpus; see `Collection.read`."""
        return read_folder(self.path, self.qrels)
