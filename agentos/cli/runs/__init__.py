"""Commands about runs that are there: list, show, log, stop, remove, and watch."""

__all__: list[str] = []
