"""What one agent is: its encoder, its views and objectives, what it sends and how it learns from it."""

__all__: list[str] = []
