"""Commands of the command line, one module each; `agentos.cli` puts them together."""
