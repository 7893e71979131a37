"""Commands that are too long for `agentos.cli`, one file each."""
