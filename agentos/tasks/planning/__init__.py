"""The plan of a task: who would do which part of it when, and at which cost, before anything runs."""

__all__: list[str] = []
