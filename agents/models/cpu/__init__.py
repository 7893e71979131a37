"""Optimisations for CPUs; no other package holds code for one kind of processor."""

__all__: list[str] = []
