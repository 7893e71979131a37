"""Requests are gathered to batches, each gets its own replies, and a failure ends its batch alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agentos.tasks.serving.request_gathering import Gathering
from agentos.tasks.society.open_society import Reply


class Work:
    """Answers that wait until they are let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = asyncio.Event()

    async def answer(self, items: Sequence[tuple[str, ...]]) -> list[Reply]:
        self.batches.append([item[0] for item in items])
        await self.go.wait()
        if any(item[0] == "bad" for item in items):
            raise RuntimeError("bad")
        return [Reply(item[0], 1.0, (), 0.0, 0.0) for item in items]


def request(*texts: str) -> list[tuple[str, ...]]:
    return [(text,) for text in texts]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def labels(replies: Any) -> list[str]:
    return [reply.label for reply in replies]


def test_batch_fills_while_another_is_answered() -> None:
    async def scene() -> None:
        work = Work()
        gathering = Gathering(work.answer, most=3, wait_s=0.0, at_once=1)
        tasks = []
        for texts in (["a"], ["b"], ["c", "d"], ["e"], ["f", "g", "h", "i"]):
            tasks.append(asyncio.create_task(gathering.answer(request(*texts))))
            await settled()
        assert work.batches == [["a"]]
        work.go.set()
        found = [labels(replies) for replies in await asyncio.gather(*tasks)]
        assert found == [["a"], ["b"], ["c", "d"], ["e"], ["f", "g", "h", "i"]]
        assert work.batches == [["a"], ["b", "c", "d"], ["e"], ["f", "g", "h", "i"]]

    asyncio.run(scene())


def test_requests_of_one_moment_are_answered_together() -> None:
    async def scene() -> None:
        work = Work()
        work.go.set()
        gathering = Gathering(work.answer, most=8, wait_s=0.01, at_once=2)
        await asyncio.gather(*(gathering.answer(request(text)) for text in "abc"))
        assert work.batches == [["a", "b", "c"]]

    asyncio.run(scene())


def test_failure_ends_its_batch_alone() -> None:
    async def scene() -> None:
        work = Work()
        work.go.set()
        gathering = Gathering(work.answer, most=1, wait_s=0.0, at_once=1)
        tasks = [asyncio.create_task(gathering.answer(request(t))) for t in ("bad", "good")]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], RuntimeError)
        assert labels(found[1]) == ["good"]
        assert labels(await gathering.answer(request("later"))) == ["later"]

    asyncio.run(scene())


def test_request_that_was_given_up_is_not_worked_on() -> None:
    async def scene() -> None:
        work = Work()
        gathering = Gathering(work.answer, most=1, wait_s=0.0, at_once=1)
        first = asyncio.create_task(gathering.answer(request("a")))
        await settled()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gathering.answer(request("given up")), 0.01)
        last = asyncio.create_task(gathering.answer(request("c")))
        await settled()
        work.go.set()
        assert labels(await first) + labels(await last) == ["a", "c"]
        assert work.batches == [["a"], ["c"]]

    asyncio.run(scene())
