"""Requests that come at the same time are answered together: one cooperation, one reading of each agent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from agentos.tasks.serving.awaited_society import Item
from agentos.tasks.society.open_society import Reply

Work = Callable[[Sequence[Item]], Awaitable[Sequence[Reply]]]
"""Answers items together."""


class Gathering:
    """Gathers requests to batches.

    A batch is begun as soon as fewer than `at_once` are under way, and then waits for more; so while the
    agents work, the next batch fills by itself. (`serve.batch` works within a deployment only, behind the
    remote call of every request that this saves.)

    Args:
        work: answers a batch.
        most: items of a batch, at most, unless one request has more.
        wait_s: seconds to wait for more requests.
        at_once: batches at a time.
    """

    def __init__(self, work: Work, most: int, wait_s: float, at_once: int) -> None:
        self._work = work
        self._most = most
        self._wait_s = wait_s
        self._at_once = at_once
        self._waiting: deque[tuple[Sequence[Item], asyncio.Future[Sequence[Reply]]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, items: Sequence[Item]) -> Sequence[Reply]:
        """Answer the items of one request, with those of others."""
        future: asyncio.Future[Sequence[Reply]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if len(self._tasks) < self._at_once:
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        while self._waiting:
            if self._wait_s and sum(len(items) for items, _ in self._waiting) < self._most:
                await asyncio.sleep(self._wait_s)
            batch = self._taken()
            if not batch:
                continue
            try:
                replies = await self._work([item for items, _ in batch for item in items])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            left = iter(replies)
            for items, future in batch:
                mine = [next(left) for _ in items]
                if not future.done():
                    future.set_result(mine)

    def _taken(self) -> list[tuple[Sequence[Item], asyncio.Future[Sequence[Reply]]]]:
        """Take the next batch; requests that were given up are left out."""
        batch: list[tuple[Sequence[Item], asyncio.Future[Sequence[Reply]]]] = []
        size = 0
        while self._waiting:
            items, future = self._waiting[0]
            if batch and size + len(items) > self._most:
                break
            self._waiting.popleft()
            if not future.done():
                batch.append((items, future))
                size += len(items)
        return batch
