"""Decisions about failures and lost messages: pure functions, without hosts and without a clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from protocols.errors import DeadlineExceeded, HostLost, RuntimeFailure
from protocols.spec import Spec


class PolicyConfig(Spec):
    """Reaction of a run to hosts that die and messages that do not arrive."""

    restarts: int = Field(
        3,
        ge=0,
        description="How often the run goes back to its last checkpoint with new hosts, after hosts died.",
    )
    on_timeout: Literal["restart", "abort"] = Field(
        "restart",
        description="What to do about a host that gives no answer within runtime.timeout_s: end it and "
        "restart, or abort the run.",
    )
    deadline_s: float | None = Field(
        None,
        gt=0.0,
        description="Longest wait for the messages of a hop, in simulated seconds where there is a clock; "
        "those that are later miss it. Without one, agents wait for all.",
    )
    retries: int = Field(0, ge=0, le=100, description="How often a lost message is sent again.")
    quorum: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="An agent merges only if it accepted messages of this share of its expected senders.",
    )
    below_quorum: Literal["carry_on", "abort"] = Field(
        "carry_on",
        description="What to do about an agent below the quorum: it keeps its own, or the run aborts.",
    )
    checksums: bool = Field(
        False, description="Receivers check a CRC-32 of every message, and reject damaged ones."
    )

    @property
    def about_hosts(self) -> dict[str, Any]:
        """The fields about lost hosts."""
        return {"restarts": self.restarts, "on_timeout": self.on_timeout}


def restarts_after(error: RuntimeFailure, before: int, policy: PolicyConfig) -> bool:
    """Return whether a run goes back to its last checkpoint, having done so a number of times before.

    Example:
        >>> restarts_after(HostLost("gone"), 2, PolicyConfig(restarts=3))
        True
        >>> restarts_after(HostLost("gone"), 3, PolicyConfig(restarts=3))
        False
        >>> restarts_after(DeadlineExceeded("late"), 0, PolicyConfig(on_timeout="abort"))
        False
    """
    if isinstance(error, DeadlineExceeded):
        repairable = policy.on_timeout == "restart"
    else:
        repairable = isinstance(error, HostLost)
    return repairable and before < policy.restarts


def in_time(arrival_s: float, policy: PolicyConfig) -> bool:
    """Return whether a message still counts for which its receiver would wait so many seconds.

    Example:
        >>> in_time(2.0, PolicyConfig(deadline_s=2.0)), in_time(2.1, PolicyConfig(deadline_s=2.0))
        (True, False)
    """
    return policy.deadline_s is None or arrival_s <= policy.deadline_s


def sendings(is_lost: Callable[[int], bool], policy: PolicyConfig) -> tuple[int, bool]:
    """Return how often a message is sent, and whether it arrives in the end.

    Args:
        is_lost: of an attempt, from 0.
        policy: how many attempts may follow the first.

    Example:
        >>> sendings(lambda attempt: attempt < 2, PolicyConfig(retries=5))
        (3, True)
        >>> sendings(lambda attempt: True, PolicyConfig(retries=1))
        (2, False)
    """
    for attempt in range(policy.retries + 1):
        if not is_lost(attempt):
            return attempt + 1, True
    return policy.retries + 1, False


def fewest(expected: int, policy: PolicyConfig) -> int:
    """Return how many messages an agent needs, of those that it expects, to merge any.

    Example:
        >>> [fewest(n, PolicyConfig(quorum=0.5)) for n in range(5)]
        [0, 1, 1, 2, 2]
    """
    # In floating point 0.07 * 100 exceeds 7, and its ceiling would be 8.
    return math.ceil(round(policy.quorum * expected, 9))
