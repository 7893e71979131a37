"""Pictures of networks."""

__all__: list[str] = []
