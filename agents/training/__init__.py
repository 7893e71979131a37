"""Local training: one agent, its optimizer, and the losses of its own text and of the exchange."""

__all__: list[str] = []
