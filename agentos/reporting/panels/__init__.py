"""The tables and panels of a report."""
