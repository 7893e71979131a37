"""Encoders and decoders: construction, loading, adaptation, export and generation."""

__all__: list[str] = []
