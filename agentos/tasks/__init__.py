"""The planning of a society's work: which models may answer, who does what, and whether several help."""

__all__: list[str] = []
