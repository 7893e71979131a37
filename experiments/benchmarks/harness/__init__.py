"""Shared parts of the benchmarks: societies with timed rounds, resource meters, and peers to compare with."""

__all__: list[str] = []
