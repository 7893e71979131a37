"""A run, from its configuration to its result: preparation, arms, records and reports."""

__all__: list[str] = []
