"""Explanations of an encoder's answers, its biases, and its leaks of private text."""

__all__: list[str] = []
