"""A society whose agents are awaited answers as one whose agents are called, and does without lost ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agentos.tasks.config import Task
from agentos.tasks.serving.awaited_society import AwaitedSociety
from agentos.tasks.society.encoders import Encoded
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.open_society import Reply, replies_to
from protocols.errors import HostLost

ASKED = range(150, 200)
ITEMS = [(str(id),) for id in ASKED]
SOURCE = {"kind": "jsonl", "path": "x", "label": "label"}
ARCHITECTURES = ("single", "master_slave", "peer", "layered")


@pytest.fixture(scope="module")
def fitted(bench: Any) -> FittedSociety:
    task = {"kind": "classify", "source": SOURCE}
    config = Task.model_validate({"library": {"models": ["somewhere"]}, "task": task})
    return FittedSociety.fitted(config, bench.panel.members, ["a", "b", "c"], bench.evidence)


class Reads:
    """Agents that read after a while, and note who read at which time."""

    def __init__(self, bench: Any, pause_s: float = 0.0, lost: Sequence[int] = ()) -> None:
        self.bench, self.pause_s, self.lost = bench, pause_s, lost
        self.noted: list[tuple[int, int]] = []
        self.reading = self.most_at_once = 0

    def now(self, agent: int, texts: Sequence[str]) -> Encoded:
        self.noted.append((agent, len(texts)))
        rows = self.bench.rows[agent][[int(text) for text in texts]].astype(np.float32)
        return Encoded(rows, np.full(len(texts), 10 + agent), 0.0)

    def counted(self, agent: int, texts: Sequence[str]) -> np.ndarray:
        return np.full(len(texts), 10 + agent)

    async def count(self, agent: int, texts: Sequence[str]) -> np.ndarray:
        return self.counted(agent, texts)

    async def read(self, agent: int, texts: Sequence[str]) -> Encoded:
        self.reading += 1
        self.most_at_once = max(self.most_at_once, self.reading)
        await asyncio.sleep(self.pause_s)
        self.reading -= 1
        if agent in self.lost:
            raise HostLost(f"agent {agent} is gone")
        return self.now(agent, texts)


def answered(fitted: FittedSociety, reads: Reads, timeout_s: float = 30.0) -> tuple[Reply, ...]:
    society = AwaitedSociety(fitted, reads, timeout_s, at_once=2)
    try:
        return asyncio.run(society.answer(ITEMS))
    finally:
        society.close()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_answers_are_those_of_agents_that_are_called(
    bench: Any, fitted: FittedSociety, name: str
) -> None:
    society = fitted.choosing(name)
    called, awaited = Reads(bench), Reads(bench)
    expected = replies_to(society, ITEMS, called.now, called.counted)
    assert answered(society, awaited) == expected
    assert sorted(awaited.noted) == sorted(called.noted), "no agent reads more than it must"


@pytest.mark.parametrize(("name", "at_once"), [("master_slave", 3), ("peer", 3), ("single", 1)])
def test_agents_that_are_asked_in_any_case_read_at_the_same_time(
    bench: Any, fitted: FittedSociety, name: str, at_once: int
) -> None:
    reads = Reads(bench, pause_s=0.01)
    answered(fitted.choosing(name), reads)
    assert reads.most_at_once == at_once


def test_lost_agent_is_done_without(bench: Any, fitted: FittedSociety) -> None:
    found = answered(fitted.choosing("peer"), Reads(bench, lost=[1]))
    assert all("model-1" not in reply.asked or reply.label for reply in found)
    assert len(found) == len(ITEMS)
    with pytest.raises(HostLost):
        answered(fitted.choosing("single"), Reads(bench, lost=[0]))
    with pytest.raises(HostLost):
        answered(fitted.choosing("master_slave"), Reads(bench, lost=[0, 1, 2]))


def test_agent_that_reads_too_long_counts_as_lost(bench: Any, fitted: FittedSociety) -> None:
    with pytest.raises(HostLost, match="alone"):
        answered(fitted.choosing("single"), Reads(bench, pause_s=5.0), timeout_s=0.02)
