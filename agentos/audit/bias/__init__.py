"""Whom an encoder favours: associations between groups of words."""

__all__: list[str] = []
