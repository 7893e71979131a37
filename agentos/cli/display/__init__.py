"""Progress, tables and errors as the command line prints them."""

__all__: list[str] = []
