"""Targets and mutations of the fuzzer `experiments.benchmarks.fuzz`."""
