"""Profiles of the work of hosts over time."""
