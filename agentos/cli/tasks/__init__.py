"""Commands about tasks: each imports what it needs."""

from __future__ import annotations

__all__: list[str] = []
