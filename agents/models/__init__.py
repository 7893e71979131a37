"""Encoders and decoders: construction, loading, adaptation, export and generation."""
