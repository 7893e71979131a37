"""Knowledge of a society: a log of claims, its fold, a searchable table, fusion and correction."""

from __future__ import annotations

__all__: list[str] = []
