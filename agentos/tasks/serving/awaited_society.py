"""A society whose agents are awaited: they stand in other processes, and read at the same time.

The cooperation is that of `Society.ask`, line for line. It runs in a thread, because it asks one agent after
the other; the agents that it asks in any case begin to read before it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late

from agentos.tasks.society.encoders import Encoded
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_society import Reply, replies_to, texts_in_order
from protocols.errors import HostLost

Item = tuple[str, ...]
"""The texts of one question; see `TaskKind.texts_of`."""
AwaitedRead = Callable[[int, Sequence[str]], Awaitable[Encoded]]
"""Maps an agent and texts to what its encoder makes of them, some time later."""


class AwaitedSociety:
    """A fitted society, and agents to await.

    Args:
        fitted: the society.
        read: the agents' encoders; raises `HostLost` for one that is gone.
        timeout_s: seconds after which an agent counts as lost.
        at_once: pieces of work at a time.
    """

    def __init__(
        self, fitted: FittedSociety, read: AwaitedRead, timeout_s: float, at_once: int
    ) -> None:
        self.fitted = fitted
        self._read = read
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
        read = await asyncio.gather(*(self._in_time(agent, texts) for agent in self._first))
        ahead = dict(zip(self._first, read, strict=True))

        def wait(agent: int, asked: Sequence[str]) -> Encoded:
            found = ahead.get(agent) if len(asked) == len(texts) else None
            if found is None:
                future = asyncio.run_coroutine_threadsafe(self._in_time(agent, asked), loop)
                found = future.result()
            if isinstance(found, HostLost):
                raise found
            return found

        return await loop.run_in_executor(self._threads, replies_to, self.fitted, items, wait)

    async def _in_time(self, agent: int, texts: Sequence[str]) -> Encoded | HostLost:
        """Return what an agent read, or the error of one that is lost: the others may answer without it."""
        try:
            return await asyncio.wait_for(self._read(agent, texts), self._timeout_s)
        except HostLost as error:
            return error
        except (asyncio.TimeoutError, Late):
            name = self.fitted.members[agent].card.name
            return HostLost(
                f"{name} did not read in time",
                expected=f"an answer within {self._timeout_s:g} s",
                hint="raise --deadline-s, or lower --max-batch",
            )

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
