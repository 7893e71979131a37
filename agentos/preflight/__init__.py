"""Checks, costs and choices that precede a run."""

__all__: list[str] = []
