"""Decoders that write together: mixtures of their next tokens."""

__all__: list[str] = []
