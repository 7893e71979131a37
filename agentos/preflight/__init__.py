"""Checks, costs and choices that precede a run."""
