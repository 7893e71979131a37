"""Hosts as Ray actors."""
