"""Exchange strategies that send model parameters."""

__all__: list[str] = []
