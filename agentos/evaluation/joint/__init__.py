"""The society asked as one: embeddings of several agents side by side, and what they cost."""

__all__: list[str] = []
