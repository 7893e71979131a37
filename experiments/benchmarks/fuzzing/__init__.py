"""Targets and mutations of the fuzzer `experiments.benchmarks.fuzzing.fuzz`."""

__all__: list[str] = []
