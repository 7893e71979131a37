"""The table of sources. A new one is a class in a file of its own, and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.data.sources.base import Document, Source
from agentos.data.sources.delimited import Csv, Jsonl
from agentos.data.sources.docstrings import Docstrings
from agentos.data.sources.huggingface import HuggingFace
from agentos.data.sources.parquet import Parquet
from agentos.data.sources.plain_text import Text

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
