"""Texts that decoders write together: from texts to results."""

from __future__ import annotations

__all__: list[str] = []
