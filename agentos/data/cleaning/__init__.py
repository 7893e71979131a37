"""Cleaning: normalised text, repairs, filters, duplicates."""

__all__: list[str] = []
