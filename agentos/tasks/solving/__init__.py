"""A task from its texts to its results: read, divided, fitted, compared, answered and recorded."""

__all__: list[str] = []
