"""Local steps of a host's agents: one by one, or in stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from agents.hosting.agent_pool import AgentPool
from agents.training import trainer
from agents.training.agent import Agent
from agents.training.blueprint import Arm
from agents.training.local_batch import PreparedBatch
from agents.training.prefetch import Prefetcher
from agents.training.shared_model import SharedModel
from agents.training.stacked.stack import stacked_jobs, train_stack

Span = Callable[[str, "int | None"], AbstractContextManager[None]]
Metrics = dict[int, dict[str, float]]


def train_agents(
    pool: AgentPool,
    arm: Arm,
    rounds: Mapping[int, int],
    sizes: Mapping[SharedModel, int],
    workers: int,
    span: Span,
) -> Metrics:
    """Take agents through the local steps of a round; their rounds may differ.

    Batches are prepared ahead, across agents too.

    Args:
        pool: the host's agents.
        arm: their exchange.
        rounds: round of each agent that trains.
        sizes: largest stack of each architecture; agents of one that has 1 train one by one.
        workers: threads that prepare batches ahead.
        span: records the time that work on an agent, or on several, takes.
    """
    stacks = stacks_of([pool.counters(id) for id in pool.order(rounds)], arm, sizes)
    alone = {id: sizes[pool.counters(id).resident] == 1 for id in rounds}

    def jobs() -> Iterator[Callable[[], PreparedBatch]]:
        for ids in stacks:
            agents = [pool.counters(id) for id in ids]
            yield from trainer.jobs(agents[0], arm) if alone[ids[0]] else stacked_jobs(agents, arm)

    metrics: Metrics = {}
    with Prefetcher(jobs(), workers) as batches:
        for ids, agents in pool.each_together(stacks):
            if alone[ids[0]]:
                with span("train", ids[0]):
                    metrics[ids[0]] = agents[0].train(arm, rounds[ids[0]], batches)
            else:
                with span("train", None):
                    metrics |= train_stack(agents, arm, rounds, batches)
    return metrics


def stacks_of(
    agents: Sequence[Agent], arm: Arm, sizes: Mapping[SharedModel, int]
) -> list[list[int]]:
    """Divide agents into stacks, in their order; return the ids of each.

    Agents of a stack have one architecture, have taken as many steps and read batches of one size.
    """
    alike: dict[tuple[int, int, tuple[int, int]], list[list[int]]] = {}
    stacks: list[list[int]] = []
    for agent in agents:
        key = (id(agent.resident), agent.state.step, agent.batch_sizes(arm.anchor_fraction))
        open_stacks = alike.setdefault(key, [])
        if not open_stacks or len(open_stacks[-1]) == sizes[agent.resident]:
            open_stacks.append([])
            stacks.append(open_stacks[-1])
        open_stacks[-1].append(agent.id)
    return stacks
