"""Commands about encoders that a run left, or any other."""

__all__: list[str] = []
