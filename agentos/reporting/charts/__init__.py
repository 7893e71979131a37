"""The charts of a report."""

__all__: list[str] = []
