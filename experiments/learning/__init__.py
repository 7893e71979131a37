"""Ready-made lives: `agentos learn experiments/learning/life.yaml`."""

__all__: list[str] = []
