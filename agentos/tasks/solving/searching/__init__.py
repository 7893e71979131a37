"""Searches by agents that hold a corpus together: from a collection to results."""

from __future__ import annotations

__all__: list[str] = []
