"""Health: detecting agents whose embeddings collapse."""

__all__: list[str] = []
