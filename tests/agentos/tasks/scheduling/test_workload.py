"""Workloads: graphs of subtasks, who may do them, and times from the clock."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.clock.timing import Timing
from agentos.tasks.scheduling import Heft
from agentos.tasks.scheduling.workload import Subtask, transit_between, workload_of
from protocols.errors import ConfigurationError

TIMING = Timing(
    speeds={0: 10.0, 1: 5.0, 2: 1.0},
    latency_s={(0, 1): 1.0, (1, 0): 1.0, (1, 2): 2.0, (2, 1): 2.0},
    bytes_per_s={(0, 1): 100.0, (1, 0): 50.0, (1, 2): 100.0, (2, 1): 100.0},
)
SUBTASKS = (
    Subtask(name="read", work=10.0),
    Subtask(name="sort", work=(10.0, 20.0, 30.0), after={"read": 100}, floor=0.6),
    Subtask(name="end", work=5.0, after={"read": 100, "sort": 200}, agents=(0, 2)),
)


def test_times_come_from_work_speeds_and_links() -> None:
    workload = workload_of(SUBTASKS, TIMING)
    np.testing.assert_allclose(workload.seconds, [[1, 2, 10], [1, 4, 30], [0.5, 1, 5]])
    assert workload.arrows == {(0, 1): 100, (0, 2): 100, (1, 2): 200}
    # 1 + 100/100 over the first link, 2 + 100/100 over the second, passed on from one to the next.
    np.testing.assert_allclose(workload.between(0, 1), [[0, 2, 5], [3, 0, 3], [6, 3, 0]])


def test_quick_detours_are_taken_and_links_of_no_time_are_links() -> None:
    edges = {(0, 1): 0.0, (1, 2): 0.0, (0, 2): 9.0}
    found = transit_between(Timing(dict.fromkeys(range(3), 1.0), edges), 1)
    assert found[0].tolist() == [0.0, 0.0, 0.0]
    assert np.isinf(found[2, 0])


def test_agents_below_the_floor_and_unnamed_ones_may_not() -> None:
    fitness = np.array([[0.1, 0.1, 0.1], [0.7, 0.5, 0.6], [0.0, 0.0, 0.0]])
    allowed = workload_of(SUBTASKS, TIMING, fitness).allowed
    assert allowed.tolist() == [[True] * 3, [True, False, True], [True, False, True]]


def test_lost_agents_get_nothing_more_and_what_is_settled_needs_none() -> None:
    left = workload_of(SUBTASKS, TIMING).without([0], settled=[0])
    assert left.allowed.tolist() == [[True] * 3, [False, True, True], [False, False, True]]


@pytest.mark.parametrize(
    ("subtasks", "message"),
    [
        ([Subtask(name="a", work=1.0, after={"b": 1})], "after an unknown one"),
        ([Subtask(name="a", work=1.0), Subtask(name="a", work=1.0)], "given twice"),
        ([Subtask(name="a", work=(1.0, 2.0))], "does not fit the agents"),
        ([Subtask(name="a", work=-1.0)], "cannot be planned with"),
        ([Subtask(name="a", work=1.0, agents=())], "no agent may do"),
        (
            [
                Subtask(name="a", work=1.0, after={"b": 1}),
                Subtask(name="b", work=1.0, after={"a": 1}),
            ],
            "in a circle",
        ),
        ([], "cannot be planned with"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_a_hint(subtasks, message) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        workload_of(subtasks, TIMING)
    assert caught.value.hint


def test_floor_that_no_agent_reaches_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'sort'") as caught:
        workload_of(SUBTASKS, TIMING, np.full((3, 3), 0.5))
    assert "floor" in str(caught.value.hint)


def test_predicted_makespan_is_that_of_the_simulated_clock() -> None:
    """Three subtasks one after the other, on agents that the clock of a run lets work and send."""
    subtasks = [
        Subtask(name="a", work=20.0, agents=(0,)),
        Subtask(name="b", work=15.0, after={"a": 300}, agents=(1,)),
        Subtask(name="c", work=4.0, after={"b": 50}, agents=(2,)),
    ]
    plan = Heft().plan(workload_of(subtasks, TIMING))
    clock = Timeline(TIMING)
    clock.train({0: {"steps": 20}})
    clock.wait({1: clock.lateness(0, 1, 300)})
    clock.train({1: {"steps": 15}})
    clock.wait({2: clock.lateness(1, 2, 50)})
    clock.train({2: {"steps": 4}})
    assert plan.makespan_s == pytest.approx(clock.now[2])
