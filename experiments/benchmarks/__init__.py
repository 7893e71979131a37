"""Measurements of this program, each a command: ``python -m experiments.benchmarks.NAME``."""

__all__: list[str] = []
