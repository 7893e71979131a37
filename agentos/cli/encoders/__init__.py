"""Commands about the encoders of a run: each imports what it needs."""

from __future__ import annotations

__all__: list[str] = []
