"""Commands of tasks."""

__all__: list[str] = []
