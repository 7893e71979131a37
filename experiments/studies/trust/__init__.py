"""Studies of what exchanges give away, and of what they spread."""

__all__: list[str] = []
