"""The table of sources. A new one is a class in a file of its own, and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.data.docstrings import Docstrings
from agentos.data.hub import HuggingFace
from agentos.data.parquet import Parquet
from agentos.data.source import Document, Source
from agentos.data.tables import Csv, Jsonl
from agentos.data.text import Text

__all__ = [
    "SOURCES",
    "Csv",
    "Docstrings",
    "Document",
    "HuggingFace",
    "Jsonl",
    "Parquet",
    "Source",
    "Text",
]

SOURCES: Mapping[str, type[Source]] = {
    "docstrings": Docstrings,
    "text": Text,
    "jsonl": Jsonl,
    "csv": Csv,
    "parquet": Parquet,
    "hf": HuggingFace,
}
