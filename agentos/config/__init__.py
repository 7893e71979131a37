"""The run configuration: its fields, its files, its short forms and its errors."""

__all__: list[str] = []
