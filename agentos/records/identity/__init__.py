"""Whose run a folder holds: its lock, its first moments, and digests of the data that it read."""

__all__: list[str] = []
