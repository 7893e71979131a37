"""From a configuration to a result: text and agents are prepared, arms run, records and reports written."""

__all__: list[str] = []
