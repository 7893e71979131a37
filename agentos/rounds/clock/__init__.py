"""Simulated time: how long a run would take on other machines, over other links."""

__all__: list[str] = []
