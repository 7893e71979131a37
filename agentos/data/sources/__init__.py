"""Sources of text: streams of documents from files, installed libraries and Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.data.sources.base import Document, Source
from agentos.data.sources.delimited import Csv, Jsonl
from agentos.data.sources.docstrings import Docstrings
from agentos.data.sources.huggingface import HuggingFace
from agentos.data.sources.in_memory import InMemory
from agentos.data.sources.parquet import Parquet
from agentos.data.sources.plain_text import Text

SOURCES: Mapping[str, type[Source]] = {
    "docstrings": Docstrings,
    "text": Text,
    "jsonl": Jsonl,
    "csv": Csv,
    "parquet": Parquet,
    "hf": HuggingFace,
}
"""Every kind of source. To add one, write its class in its own file and add a line here."""

__all__ = [
    "SOURCES",
    "Csv",
    "Docstrings",
    "Document",
    "HuggingFace",
    "InMemory",
    "Jsonl",
    "Parquet",
    "Source",
    "Text",
]
