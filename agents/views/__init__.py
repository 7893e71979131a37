"""Views: random variants of a document, and the table that names them."""

from __future__ import annotations

from agents.views.base import Setting, View, compose
from agents.views.deletion import TokenCutoff, WordDeletion
from agents.views.order import SentenceReordering, WordSwap
from agents.views.spans import Crop, Dropout

VIEWS: dict[str, type[View]] = {
    "crop": Crop,
    "dropout": Dropout,
    "word_deletion": WordDeletion,
    "word_swap": WordSwap,
    "sentence_reordering": SentenceReordering,
    "token_cutoff": TokenCutoff,
}

__all__ = [
    "VIEWS",
    "Crop",
    "Dropout",
    "SentenceReordering",
    "Setting",
    "TokenCutoff",
    "View",
    "WordDeletion",
    "WordSwap",
    "compose",
]
