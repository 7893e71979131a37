"""Continual learning of a society: streams, labels of its own, learners, and a gate for every update."""

__all__: list[str] = []
