"""Views of a run's record, one per panel of a report: each holds what its panel shows, and no more."""

__all__: list[str] = []
