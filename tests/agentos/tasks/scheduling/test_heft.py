"""HEFT against the example of its paper, and reschedules after a loss."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.tasks.scheduling import Heft
from agentos.tasks.scheduling.execution import execute, kept, reschedule
from agentos.tasks.scheduling.heft import upward_ranks
from agentos.tasks.scheduling.placements import Placement, Schedule, violations
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import ConfigurationError

ARROWS = {
    (0, 1): 18, (0, 2): 12, (0, 3): 9, (0, 4): 11, (0, 5): 14,
    (1, 7): 19, (1, 8): 16, (2, 6): 23, (3, 7): 27, (3, 8): 23,
    (4, 8): 13, (5, 7): 15, (6, 9): 17, (7, 9): 11, (8, 9): 13,
}  # fmt: skip
SECONDS = [
    [14, 16, 9], [13, 19, 18], [11, 13, 19], [13, 8, 17], [12, 13, 10],
    [13, 16, 9], [7, 15, 11], [5, 11, 14], [18, 12, 20], [21, 7, 16],
]  # fmt: skip


@pytest.fixture
def paper() -> Workload:
    """Figure 2 of Topcuoglu et al., 2002: ten subtasks, three processors, a second for each byte."""
    apart = 1.0 - np.eye(3)
    return Workload(
        names=tuple(f"n{i + 1}" for i in range(10)),
        arrows=ARROWS,
        seconds=np.array(SECONDS, dtype=float),
        allowed=np.ones((10, 3), dtype=bool),
        transit_s={size: size * apart for size in ARROWS.values()},
    )


def test_schedule_is_that_of_the_paper(paper: Workload) -> None:
    """The makespan in the paper is 80, and n1 goes to the third processor; see its figure 3(a)."""
    found = Heft(improvements=0).plan(paper)
    assert found.makespan_s == 80
    assert found.agents[0] == 2
    assert found.agents[9] == 1
    assert violations(paper, found) == []


def test_ranks_are_those_of_the_paper(paper: Workload) -> None:
    """Table 2 of the paper."""
    table = [108, 77, 80, 80, 69, 63.333, 42.667, 35.667, 44.333, 14.667]
    np.testing.assert_allclose(upward_ranks(paper), table, atol=1e-3)


def test_improvements_shorten_the_schedule_of_the_paper_and_never_lengthen_it(
    paper: Workload,
) -> None:
    alone = Heft(improvements=0).plan(paper).makespan_s
    for seed in range(3):
        improved = Heft().plan(paper, seed)
        assert improved.makespan_s < alone
        assert violations(paper, improved) == []


@pytest.mark.parametrize("at_s", [0.0, 10.0, 25.0, 40.0, 60.0])
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_what_is_left_is_rescheduled_when_an_agent_dies(
    paper: Workload, lost: int, at_s: float
) -> None:
    before = Heft().plan(paper)
    after = reschedule(paper, before, [lost], at_s, Heft())
    assert violations(paper.without([lost], after.settled), after) == []
    for subtask, placement in enumerate(after.placements):
        if subtask in after.settled:
            assert placement == before.placements[subtask]
            ended = placement.end_s <= at_s
            assert placement.start_s < at_s
            assert placement.agent != lost or ended
        else:
            assert placement.agent != lost
            assert placement.start_s >= at_s


def test_output_that_died_with_its_agent_is_made_again_only_where_it_is_needed() -> None:
    apart = 1.0 - np.eye(2)
    chain = Workload(
        names=("a", "b", "c"),
        arrows={(0, 1): 1, (1, 2): 1},
        seconds=np.full((3, 2), 2.0),
        allowed=np.ones((3, 2), dtype=bool),
        transit_s={1: apart},
    )
    plan = Schedule((Placement(0, 2, 0), Placement(2, 4, 0), Placement(5, 7, 1)))
    assert kept(chain, plan, [0], 4.5) == []  # b's output is under way: c has not begun to read it
    assert kept(chain, plan, [0], 6.0) == [0, 1, 2]  # c has read it
    assert kept(chain, plan, [1], 6.0) == [0, 1]
    again = reschedule(chain, plan, [1], 6.0, Heft())
    assert again.placements[2] == Placement(6, 8, 0)


def test_losing_every_agent_is_refused(paper: Workload) -> None:
    with pytest.raises(ConfigurationError, match="no agent may do") as caught:
        reschedule(paper, Heft().plan(paper), [0, 1, 2], 10.0, Heft())
    assert caught.value.hint


def test_slower_agents_than_predicted_lengthen_the_execution(paper: Workload) -> None:
    plan = Heft().plan(paper)
    slow = execute(paper, plan, 2 * paper.seconds)
    assert plan.makespan_s < slow.makespan_s <= 2 * plan.makespan_s
