"""Hosts as Ray actors."""

__all__: list[str] = []
