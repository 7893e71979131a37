"""Targets and mutations of the fuzzer `experiments.benchmarks.fuzz`."""

__all__: list[str] = []
