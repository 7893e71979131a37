"""Whether Ray itself is alive: without its raylet or its control service, no call would ever end."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from protocols.errors import RuntimeFailure

POLL_S = 1.0
"""Seconds between two looks at the processes that were started here."""
ASK_EVERY_S = 10.0
"""Seconds between two questions to a cluster that was joined."""
ANSWER_S = 20.0
"""Seconds that a cluster has to answer."""
_NEEDED = ("gcs_server", "raylet")


class Liveness:
    """Watches the Ray that a session depends on.

    Example:
        >>> Liveness().next_check_s <= POLL_S
        True
    """

    def __init__(self) -> None:
        self._asked_s = self._required_s = time.monotonic()

    @property
    def next_check_s(self) -> float:
        """Seconds after which `require` has something new to see."""
        return POLL_S

    def require_now_and_then(self, title: str) -> None:
        """Raise an error if Ray has died, checked at most once every `POLL_S`.

        Actors answer for a minute after their control service has ended, so calls that succeed prove nothing.

        Raises:
            RuntimeFailure: see `require`.
        """
        if time.monotonic() - self._required_s > POLL_S:
            self.require(title)

    def require(self, title: str) -> None:
        """Raise an error if Ray has died.

        Args:
            title: of the call that waits for it.

        Raises:
            RuntimeFailure: a process of Ray's own has ended, or no node of the cluster is up.
        """
        self._required_s = time.monotonic()
        dead = dead_processes()
        if dead:
            raise _died(title, f"{' and '.join(dead)} ended")
        if not _started_here() and time.monotonic() - self._asked_s > ASK_EVERY_S:
            self._asked_s = time.monotonic()
            if not _cluster_is_up():
                raise _died(title, "no node of the cluster is up")


def dead_processes() -> list[str]:
    """Return the names of Ray's own processes, among those that were started here, that have ended."""
    node = _node()
    dead = {} if node is None else dict(node.dead_processes())
    return [name for name in _NEEDED if name in dead]


def end_remains() -> None:
    """Kill what is left of a Ray that has died: asked to end in order, it would not answer for minutes."""
    node = _node()
    if node is not None:
        with contextlib.suppress(Exception):  # of processes that end at this moment
            node.kill_all_processes(check_alive=False, allow_graceful=False)


def _node() -> Any:
    from ray._private import worker

    return worker._global_node


def _started_here() -> bool:
    node = _node()
    return node is not None and bool(node.all_processes.get("raylet"))


def _cluster_is_up() -> bool:
    """Ask the cluster for its nodes, in a thread: without a control service there is no answer."""
    import ray

    alive: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(Exception):  # the thread outlives the connection
            alive.append(any(node["Alive"] for node in ray.nodes()))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    return bool(alive) and alive[0]


def _died(title: str, why: str) -> RuntimeFailure:
    return RuntimeFailure(
        f"Ray died while hosts were to {title}",
        expected="a Ray that runs as long as the run",
        actual=why,
        hint="look for a lack of memory or a killed process; 'agentos resume' continues the run",
    )
