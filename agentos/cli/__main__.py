"""``python -m agentos.cli``: the command ``agentos``."""

from agentos.cli.main import main

if __name__ == "__main__":
    main()
