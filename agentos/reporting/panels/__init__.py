"""The tables and panels of a report."""

__all__: list[str] = []
