"""Biases of an encoder: associations between groups of words."""

__all__: list[str] = []
