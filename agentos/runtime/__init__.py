"""Runtimes: agents live in this process, or in Ray actors."""

from agentos.runtime.base import Runtime, Session
from agentos.runtime.local import LocalRuntime
from agentos.runtime.ray.runtime import RayRuntime

RUNTIMES: dict[str, type[Runtime]] = {"local": LocalRuntime, "ray": RayRuntime}

__all__ = ["RUNTIMES", "Runtime", "Session"]
