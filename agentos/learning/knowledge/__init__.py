"""What a society knows: an append-only log of claims, its fold, a searchable table, fusion and correction."""

from __future__ import annotations

__all__: list[str] = []
