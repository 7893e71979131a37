"""Heads of objectives on an encoder: decoders, classifiers of own labels, and their files."""

__all__: list[str] = []
