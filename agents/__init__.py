"""One agent: its models, text, views and objectives, and how it sends, receives, trains and is hosted."""

__all__: list[str] = []
