"""Cleaning: normalised text, repairs, filters, duplicates."""
