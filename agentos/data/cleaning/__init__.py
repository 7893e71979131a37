"""Cleaning: normalised text, filters, duplicates."""
