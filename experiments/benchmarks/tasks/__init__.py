"""Measurements of tasks: schedulers beside the optimum, and a society over HTTP."""

__all__: list[str] = []
