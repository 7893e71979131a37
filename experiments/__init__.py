"""Ready-made runs (``agentos run NAME`` finds the YAML files in this folder), studies and benchmarks."""

__all__: list[str] = []
