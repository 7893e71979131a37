"""Reports of tasks: what was answered, planned, searched or written, as pages that open offline."""

__all__: list[str] = []
