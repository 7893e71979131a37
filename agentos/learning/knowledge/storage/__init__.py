"""Storage of knowledge: an append-only log, the state folded from it, and tables to search it."""

from __future__ import annotations

__all__: list[str] = []
