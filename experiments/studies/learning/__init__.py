"""Studies of how a society goes on learning."""

from __future__ import annotations

__all__: list[str] = []
