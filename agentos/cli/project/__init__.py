"""Commands about a project of one's own."""

__all__: list[str] = []
