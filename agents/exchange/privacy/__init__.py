"""Protection of what agents send: clipped and noised messages, what that guarantees, and masked sums."""

__all__: list[str] = []
