"""Rounds: training and exchange in order, and recovery from failures."""

__all__: list[str] = []
