"""The run folder: writing it during a run, reading it back, and views of it for reports."""

__all__: list[str] = []
