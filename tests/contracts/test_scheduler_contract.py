"""Every scheduler places each subtask once, where it may be done, and predicts its makespan exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentos.tasks.scheduling import SCHEDULERS, Scheduler
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
@settings(max_examples=25)
@given(workload=workloads(), seed=st.integers(0, 100))
def test_schedules_are_possible_and_their_makespan_is_the_executed_one(
    kind: str, workload: Workload, seed: int
) -> None:
    schedule = SCHEDULERS[kind]().plan(workload, seed)
    assert violations(workload, schedule) == []
    assert execute(workload, schedule).makespan_s == pytest.approx(schedule.makespan_s)


@pytest.mark.parametrize("kind", SCHEDULERS)
@settings(max_examples=15)
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


def unlike(seed: int) -> Workload:
    """Eight subtasks of two layers, on four agents of unlike speeds and links."""
    rng = generator(seed, "unlike")
    arrows = {
        (source, reader): 1 for source in range(4) for reader in (4 + source, 4 + source // 2)
    }
    links = rng.uniform(0.1, 1.0, size=(4, 4)) * (1 - np.eye(4))
    speeds = np.array([1.0, 2.0, 4.0, 8.0])
    seconds = rng.uniform(2, 6, size=(8, 1)) / speeds * rng.uniform(0.8, 1.2, size=(8, 4))
    return Workload(tuple("abcdefgh"), arrows, seconds, np.ones((8, 4), bool), {1: links})


def moved(work: Workload, order: list[int]) -> Workload:
    """The same agents under other numbers."""
    links = {size: each[np.ix_(order, order)] for size, each in work.transit_s.items()}
    return Workload(work.names, work.arrows, work.seconds[:, order], work.allowed[:, order], links)


def without_draws(kind: str) -> Scheduler:
    """The scheduler; of HEFT the rule, whose search around it draws agents by their numbers."""
    return SCHEDULERS[kind].model_validate({"improvements": 0} if kind == "heft" else {})


@pytest.mark.parametrize("kind", sorted(SCHEDULERS.keys() - {"random"}))
def test_schedule_follows_speeds_and_links_and_not_the_numbers_of_agents(kind: str) -> None:
    order = [2, 0, 3, 1]
    for seed in range(5):
        work = unlike(seed)
        plan = without_draws(kind).plan(work)
        again = without_draws(kind).plan(moved(work, order))
        assert [order[agent] for agent in again.agents] == list(plan.agents)
        assert again.makespan_s == pytest.approx(plan.makespan_s)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_plan_for_shuffled_agents_is_worth_no_more_than_the_lot(kind: str) -> None:
    """The control: a plan that was made for the speeds of other agents."""
    proper, strange = [], []
    for seed in range(12):
        work = unlike(seed)
        scheduler = without_draws(kind)
        proper.append(scheduler.plan(work, seed).makespan_s)
        foreign = scheduler.plan(moved(work, [3, 2, 1, 0]), seed)
        strange.append(execute(work, foreign).makespan_s)
    if kind == "random":
        assert 0.5 < np.mean(strange) / np.mean(proper) < 2.0
    else:
        assert np.mean(strange) > 2.0 * np.mean(proper)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_scheduler_survives_its_configuration(kind: str) -> None:
    scheduler = SCHEDULERS[kind]()
    assert type(scheduler).model_validate_json(scheduler.model_dump_json()) == scheduler
    assert scheduler.kind == kind
