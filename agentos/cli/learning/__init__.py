"""Commands of societies that go on learning, and of what they know."""

__all__: list[str] = []
