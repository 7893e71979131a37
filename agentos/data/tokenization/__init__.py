"""Tokenizers, and the token ids of a whole corpus."""

__all__: list[str] = []
