"""Commands of the command line, one module each; `agentos.cli.main` puts them together."""
