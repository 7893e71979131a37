"""Text for the agents: read from a source, cleaned, split, partitioned and tokenised."""

__all__: list[str] = []
