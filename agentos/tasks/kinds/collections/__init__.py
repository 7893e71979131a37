"""Collections to search: queries, documents, and which documents are relevant to which query."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.kinds.collections.base import Collection
from agentos.tasks.kinds.collections.beir_folder import Beir
from agentos.tasks.kinds.collections.first_lines import FirstLines
from agentos.tasks.kinds.collections.text_pairs import TextPairs

COLLECTIONS: Mapping[str, type[Collection]] = {
    "beir": Beir,
    "pairs": TextPairs,
    "first_lines": FirstLines,
}
"""Every kind of collection. To add one, write its class in its own file and add a line here."""

__all__ = ["COLLECTIONS", "Beir", "Collection", "FirstLines", "TextPairs"]
