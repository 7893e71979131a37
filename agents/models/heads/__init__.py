"""Heads on a backbone: language models, decoders, classifiers of own labels, and their files."""

__all__: list[str] = []
