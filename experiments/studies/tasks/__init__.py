"""Studies of how a society works on tasks."""

from __future__ import annotations

__all__: list[str] = []
