"""Profiles: what every host did when."""
