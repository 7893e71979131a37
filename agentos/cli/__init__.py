"""The command line: one module per command, assembled by `agentos.cli.main`."""
