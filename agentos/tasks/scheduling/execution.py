"""Simulated execution of a schedule, and a new plan when an agent is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.scheduling.base import Scheduler
from agentos.tasks.scheduling.placements import Placement, Schedule
from agentos.tasks.scheduling.workload import Workload


def execute(
    workload: Workload, schedule: Schedule, seconds: NDArray[np.float64] | None = None
) -> Schedule:
    """Return what happens when every agent does its subtasks in their order, each as soon as it can.

    What was settled when the schedule was made stays, and nothing else begins before that.

    Args:
        workload: the subtasks.
        schedule: who does what, and in which order; its times do not matter.
        seconds: `[S, A]`, how long subtasks really take; None for as long as predicted.
    """
    seconds = workload.seconds if seconds is None else seconds
    queues = _queues(workload, schedule)
    done = {subtask: schedule.placements[subtask] for subtask in schedule.settled}
    free = [schedule.from_s] * workload.agents
    for placement in done.values():
        free[placement.agent] = max(free[placement.agent], placement.end_s)

    def arrival(source: int, subtask: int, agent: int) -> float:
        _, end_s, sender = done[source]
        if source in schedule.settled and sender != agent:
            end_s = max(end_s, schedule.from_s)  # it did not know of this reader before
        return end_s + float(workload.between(source, subtask)[sender, agent])

    while len(done) < workload.subtasks:
        for agent, queue in enumerate(queues):
            while queue and all(source in done for source in workload.sources[queue[0]]):
                subtask = queue.pop(0)
                come = [arrival(each, subtask, agent) for each in workload.sources[subtask]]
                start = max([free[agent], *come])
                free[agent] = start + float(seconds[subtask, agent])
                done[subtask] = Placement(start, free[agent], agent)
    placements = tuple(done[subtask] for subtask in range(workload.subtasks))
    return Schedule(placements, schedule.settled, schedule.from_s)


def _queues(workload: Workload, schedule: Schedule) -> list[list[int]]:
    # Subtasks of no length come before what begins at the same time; of two, the one that the other reads.
    place = {subtask: number for number, subtask in enumerate(workload.order)}
    order = sorted(
        range(workload.subtasks),
        key=lambda each: (*schedule.placements[each][:2], place[each]),
    )
    queues: list[list[int]] = [[] for _ in range(workload.agents)]
    for subtask in order:
        if subtask in schedule.settled:
            continue
        queues[schedule.placements[subtask].agent].append(subtask)
    return queues


def reschedule(
    workload: Workload,
    schedule: Schedule,
    lost: Sequence[int],
    at_s: float,
    scheduler: Scheduler,
    seed: int = 0,
) -> Schedule:
    """Return a schedule of what is left when agents are lost in the middle of one.

    What living agents have done or begun stays. What a lost agent did is kept only if nothing needs it any
    more: its outputs are gone with it, except from those who have begun to read them.

    Args:
        workload: the subtasks.
        schedule: the one that is being carried out.
        lost: agents that died, stall or lie.
        at_s: time at which they were lost.
        scheduler: makes the new schedule.
        seed: the run's seed.

    Raises:
        ConfigurationError: a subtask is left without an agent.
    """
    settled = kept(workload, schedule, lost, at_s)
    placements = {subtask: schedule.placements[subtask] for subtask in settled}
    return scheduler.plan(workload.without(lost, settled), seed, placements, at_s)


def kept(workload: Workload, schedule: Schedule, lost: Sequence[int], at_s: float) -> list[int]:
    """Return the subtasks that need not be done again, in the order of the workload."""
    found: set[int] = set()
    for subtask in reversed(workload.order):
        start_s, end_s, agent = schedule.placements[subtask]
        lives = agent not in lost and start_s < at_s
        needless = end_s <= at_s and all(reader in found for reader in workload.readers[subtask])
        if lives or needless:
            found.add(subtask)
    return sorted(found)
