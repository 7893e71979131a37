"""Data on disk: whole or absent, memory-mapped, shared by all processes."""

__all__: list[str] = []
