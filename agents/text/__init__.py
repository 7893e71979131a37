"""Tokens, words, masks and batches of an agent's text."""

__all__: list[str] = []
