"""A society whose agents are awaited: they stand in other processes, and read at the same time.

The cooperation is that of `Society.ask`, line for line. It runs in a thread, because it asks one agent after
the other; the agents that it asks in any case begin to read before it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.society.encoders import Encoded
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_society import Reply, replies_to, texts_in_order
from protocols.errors import HostLost

Item = tuple[str, ...]
"""The texts of one question; see `TaskKind.texts_of`."""
_Found = TypeVar("_Found")


class AwaitedAgents(Protocol):
    """The encoders of agents that stand elsewhere; both raise `HostLost` for one that is gone."""

    async def read(self, agent: int, texts: Sequence[str]) -> Encoded:
        """Return what an agent's encoder makes of texts."""

    async def count(self, agent: int, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens that texts would put through it."""


class AwaitedSociety:
    """A fitted society, and agents to await.

    Args:
        fitted: the society.
        agents: the agents' encoders.
        timeout_s: seconds after which an agent counts as lost.
        at_once: pieces of work at a time.
    """

    def __init__(
        self, fitted: FittedSociety, agents: AwaitedAgents, timeout_s: float, at_once: int
    ) -> None:
        self.fitted = fitted
        self._agents = agents
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(at_once, "cooperation")
        self._first = fitted.asked_first

    async def answer(self, items: Sequence[Item]) -> tuple[Reply, ...]:
        """Answer items, as `Society.ask` answers them.

        Raises:
            HostLost: no agent is left to answer.
        """
        loop = asyncio.get_running_loop()
        texts = texts_in_order(items)
        # What a lost agent raises is raised where it is asked: the others may answer without it.
        begun = [self._in_time(agent, self._agents.read(agent, texts)) for agent in self._first]
        found = await asyncio.gather(*begun, return_exceptions=True)
        ahead = dict(zip(self._first, found, strict=True))

        def read(agent: int, asked: Sequence[str]) -> Encoded:
            known = ahead.get(agent) if len(asked) == len(texts) else None
            if known is None:
                return wait(agent, self._agents.read(agent, asked))
            if isinstance(known, BaseException):
                raise known
            return known

        def count(agent: int, asked: Sequence[str]) -> NDArray[np.int64]:
            return wait(agent, self._agents.count(agent, asked))

        def wait(agent: int, work: Coroutine[Any, Any, _Found]) -> _Found:
            return asyncio.run_coroutine_threadsafe(self._in_time(agent, work), loop).result()

        return await loop.run_in_executor(
            self._threads, replies_to, self.fitted, items, read, count
        )

    async def _in_time(self, agent: int, work: Coroutine[Any, Any, _Found]) -> _Found:
        try:
            return await asyncio.wait_for(work, self._timeout_s)
        except asyncio.TimeoutError:
            name = self.fitted.members[agent].card.name
            raise HostLost(
                f"{name} did not read in time",
                expected=f"an answer within {self._timeout_s:g} s",
                hint="raise --deadline-s, or lower --max-batch",
            ) from None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
