"""Stacks of a run: which agents train together, and which one by one."""

from __future__ import annotations

import logging
from typing import Any

from agentos.runtime import Session
from agentos.runtime.host_calls import DescribeStacks
from agents.training.blueprint import Arm

logger = logging.getLogger(__name__)


def describe_stacks(session: Session, arm: Arm) -> dict[str, Any]:
    """Return how the agents of each encoder train under an exchange, as the environment records it."""
    found: dict[str, str] = {}
    for told in session.call_all(DescribeStacks(arm)).values():
        found |= told
    for encoder, how in sorted(found.items()):
        logger.info("agents of %s train %s", encoder, how)
    return {"stacks": "; ".join(f"{name} {how}" for name, how in sorted(found.items()))}
