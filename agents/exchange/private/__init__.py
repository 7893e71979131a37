"""Exchange strategies that learn on private texts, from summaries or embeddings of the neighbours'."""

__all__: list[str] = []
