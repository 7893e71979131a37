"""Outcome of a life: its accuracy matrix, and the page that shows it."""

__all__: list[str] = []
