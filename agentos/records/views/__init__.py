"""Views of a run's record, one per panel of a report: each holds only what its panel shows."""

__all__: list[str] = []
