"""Leaks of private text by an encoder and its messages: attacks, and their floors."""

__all__: list[str] = []
