"""A society over HTTP: each agent in a deployment of Ray Serve, and an ingress that awaits them."""

from __future__ import annotations

from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.serving.service import Service

__all__ = ["ServeConfig", "Service"]
