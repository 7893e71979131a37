"""Every scheduler places each subtask once, where it may be done, and predicts its makespan exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentos.tasks.scheduling import SCHEDULERS
from agentos.tasks.scheduling.execution import execute, kept, reschedule
from agentos.tasks.scheduling.placements import violations
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import ConfigurationError
from protocols.seeding import generator


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Graphs of any density, with times and messages of 0 among them, and agents that may not do all."""
    subtasks, agents = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    rng = generator(draw(st.integers(0, 2**32)), "workload")
    pairs = list(itertools.combinations(range(subtasks), 2))
    number = {pair: i + 1 for i, pair in enumerate(pairs) if rng.random() < 0.3}
    allowed = rng.random((subtasks, agents)) < 0.7
    allowed[np.arange(subtasks), rng.integers(agents, size=subtasks)] = True
    apart = 1 - np.eye(agents)
    return Workload(
        names=tuple(map(str, range(subtasks))),
        arrows=number,
        seconds=rng.integers(0, 5, size=(subtasks, agents)).astype(float),
        allowed=allowed,
        transit_s={
            size: apart * rng.integers(0, 4, size=(agents, agents)) for size in number.values()
        },
    )


@pytest.mark.parametrize("kind", SCHEDULERS)
@settings(deadline=None, max_examples=25)
@given(workload=workloads(), seed=st.integers(0, 100))
def test_schedules_are_possible_and_their_makespan_is_the_executed_one(
    kind: str, workload: Workload, seed: int
) -> None:
    schedule = SCHEDULERS[kind]().plan(workload, seed)
    assert violations(workload, schedule) == []
    assert execute(workload, schedule).makespan_s == pytest.approx(schedule.makespan_s)


@pytest.mark.parametrize("kind", SCHEDULERS)
@settings(deadline=None, max_examples=15)
@given(workload=workloads(), share=st.floats(0, 1), seed=st.integers(0, 100))
def test_the_rest_is_rescheduled_when_an_agent_is_lost(
    kind: str, workload: Workload, share: float, seed: int
) -> None:
    scheduler = SCHEDULERS[kind]()
    before = scheduler.plan(workload, seed)
    at_s = share * before.makespan_s
    settled = kept(workload, before, [0], at_s)
    others = workload.allowed[:, 1:].any(axis=1)
    if not all(others[subtask] or subtask in settled for subtask in range(workload.subtasks)):
        with pytest.raises(ConfigurationError, match="no agent may do"):
            reschedule(workload, before, [0], at_s, scheduler, seed)
        return
    after = reschedule(workload, before, [0], at_s, scheduler, seed)
    assert violations(workload.without([0], after.settled), after) == []
    assert execute(workload, after).makespan_s == pytest.approx(after.makespan_s)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_same_seed_gives_the_same_schedule(kind: str) -> None:
    rng = generator(0, "seconds")
    work = Workload(
        tuple("abcdef"), {}, rng.uniform(1, 2, size=(6, 3)), np.ones((6, 3), dtype=bool)
    )
    scheduler = SCHEDULERS[kind]()
    assert scheduler.plan(work, 3) == scheduler.plan(work, 3)
    if kind == "random":
        assert len({scheduler.plan(work, seed).agents for seed in range(5)}) > 1


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_scheduler_survives_its_configuration(kind: str) -> None:
    scheduler = SCHEDULERS[kind]()
    assert type(scheduler).model_validate_json(scheduler.model_dump_json()) == scheduler
    assert scheduler.kind == kind
