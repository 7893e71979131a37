"""Sweeps: many runs that differ in named ways, each in a process of its own, one row for each."""
