"""Health: detecting agents whose embeddings collapse."""
