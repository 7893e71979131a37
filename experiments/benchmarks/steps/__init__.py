"""Measurements of single training steps: one processor's optimisations, padding, stacks."""

__all__: list[str] = []
