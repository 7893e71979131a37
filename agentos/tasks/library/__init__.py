"""The library: which models may work, with a card for each."""

from __future__ import annotations

from agentos.tasks.library.card import Library, ModelCard
from agentos.tasks.library.reading import read_cards, weights_digest

__all__ = ["Library", "ModelCard", "read_cards", "weights_digest"]
