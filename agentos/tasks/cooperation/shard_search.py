"""A search over shards: the asker gives queries to every agent, and gathers what each found in its shard.

Legend: Q queries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.cooperation.traffic import Traffic
from agents.answering.answers import Labels
from agents.answering.ranking import Ranking
from protocols.errors import HostLost
from protocols.messages import Assignment, RankedAnswer

ASKER = 0
"""The agent that asks, and fuses what it receives."""

Search = Callable[[int, Labels], tuple[Ranking, NDArray[np.float64]]]
"""Maps an agent and the ids of queries to what it finds, and the FLOPs `[Q]` of that."""


def gather(talk: Traffic, agents: int, search: Search) -> dict[int, Ranking]:
    """Return what reached the asker of what each agent found.

    Args:
        talk: the traffic, about all queries.
        agents: number of agents.
        search: what an agent finds.

    Raises:
        HostLost: nothing reached the asker.
    """
    talk.step("question", ASKER, 0.0, {})
    given = {agent: _assigned(talk, agent) for agent in range(1, agents)}
    talk.begin_hop()
    dead, found = talk.victims(), dict[int, Ranking]()
    for agent in range(agents):
        ids, size = given.get(agent, (talk.ids, 0))
        if ids is None:
            continue
        if agent in dead:
            talk.lost.append(f"agent {agent} did not answer: its host died")
            continue
        ranking, flops = search(agent, ids)
        talk.flops[talk.rows(ids)] += flops
        talk.step(f"search of {agent}", agent, float(flops.sum()), {"question": size})
        arrived = ranking if agent == ASKER else _returned(talk, agent, ranking, flops)
        if arrived is not None:
            found[agent] = arrived
    if not found:
        raise HostLost("no agent is left to search", hint="see the fault script")
    return found


def fuse(
    talk: Traffic,
    found: dict[int, Ranking],
    fusion: Callable[[list[Ranking], int], Ranking],
    limit: int,
) -> Ranking:
    """Return the asker's fusion of what reached it, in the order of agents."""
    sources = [f"arrival from {agent}" if agent else "search of 0" for agent in found]
    candidates = sum(each.candidates.shape[1] for each in found.values())
    talk.think(ASKER, "fusion", talk.ids, float(candidates), sources)
    return fusion(list(found.values()), limit)


def _assigned(talk: Traffic, agent: int) -> tuple[Labels | None, int]:
    """Give an agent all queries; return those that reached it, and the bytes of the message."""
    work = Assignment(
        task=talk.setting.task,
        attempt=0,
        ids=talk.ids,
        start_s=0.0,
        deadline_s=talk.setting.deadline_s,
    )
    arrived, size = talk.send(work, ASKER, agent, talk.ids)
    return (None if arrived is None else arrived.ids), size


def _returned(
    talk: Traffic, agent: int, ranking: Ranking, flops: NDArray[np.float64]
) -> Ranking | None:
    """Return what reached the asker of an agent's ranking, if it is about every query."""
    spent = float(flops.sum())
    seconds = spent / talk.setting.timing.speeds.get(agent, np.inf)
    payload: RankedAnswer = ranking.payload(talk.setting.task, 0, spent, seconds)
    arrived, size = talk.send(payload, agent, ASKER, ranking.ids)
    talk.step(f"arrival from {agent}", ASKER, 0.0, {f"search of {agent}": size})
    if arrived is None:
        return None
    if not np.array_equal(arrived.ids, talk.ids):
        talk.lost.append(f"agent {agent} left queries out")
        return None
    return Ranking.received(arrived)
