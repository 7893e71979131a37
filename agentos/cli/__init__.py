"""The command line: one module per command, assembled by `agentos.cli.main`."""

__all__: list[str] = []
