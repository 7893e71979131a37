"""Sweeps: many runs that differ in named fields, each in its own process, with one row of results each."""

__all__: list[str] = []
