"""Profiles of the work of hosts over time."""

__all__: list[str] = []
