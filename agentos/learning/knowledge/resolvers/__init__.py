"""Resolvers of conflicts between claims: one file per kind."""

from __future__ import annotations

from agentos.learning.knowledge.resolvers.base import Ballots, Resolution, Resolver
from agentos.learning.knowledge.resolvers.registry import RESOLVERS

__all__ = ["Ballots", "RESOLVERS", "Resolution", "Resolver"]
