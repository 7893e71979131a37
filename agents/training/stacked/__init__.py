"""Training steps of several agents of one architecture at once."""

__all__: list[str] = []
