"""Reports and comparisons of runs: numbers, sentences and charts, on pages that open offline."""

__all__: list[str] = []
