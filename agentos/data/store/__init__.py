"""Documents on disk: whole or absent, memory-mapped, shared by every process."""
