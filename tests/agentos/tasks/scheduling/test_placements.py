"""The checker of schedules finds every kind of mistake."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.tasks.scheduling.placements import Board, Placement, Schedule, violations
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import ConfigurationError

PAIR = Workload(
    names=("a", "b"),
    arrows={(0, 1): 1},
    seconds=np.array([[2.0, 2.0], [2.0, 2.0]]),
    allowed=np.array([[True, True], [True, False]]),
    transit_s={1: np.array([[0.0, 3.0], [3.0, 0.0]])},
)


def test_possible_schedule_has_no_violation() -> None:
    assert violations(PAIR, Schedule((Placement(0, 2, 1), Placement(5, 7, 0)))) == []


@pytest.mark.parametrize(
    ("placements", "message"),
    [
        ((Placement(0, 2, 1), Placement(4, 6, 0)), "before the output of a has come"),
        ((Placement(0, 3, 1), Placement(6, 8, 0)), "does not last"),
        ((Placement(0, 2, 1), Placement(5, 7, 1)), "may not do it"),
        ((Placement(0, 2, 0), Placement(1, 3, 0)), "overlap"),
        ((Placement(-1, 1, 0), Placement(1, 3, 0)), "begins before"),
        ((Placement(0, 2, 0),), "1 placements for 2"),
    ],
)
def test_each_mistake_is_found(placements, message) -> None:
    assert any(message in found for found in violations(PAIR, Schedule(placements)))


def test_gaps_are_filled_but_not_overfilled() -> None:
    rows = np.array([[1.0], [4.0], [2.0], [3.0], [0.0]])
    work = Workload(tuple("abcde"), {}, rows, np.ones((5, 1), dtype=bool))
    board = Board(work)
    board.place(0, Placement(0.0, 1.0, 0))
    board.place(1, Placement(3.0, 7.0, 0))
    assert board.earliest(2, 0) == Placement(1.0, 3.0, 0)
    assert board.earliest(3, 0) == Placement(7.0, 10.0, 0)
    assert board.earliest(4, 0) == Placement(0.0, 0.0, 0)


def test_agents_that_no_link_reaches_are_refused() -> None:
    apart = Workload(
        names=("a", "b"),
        arrows={(0, 1): 1},
        seconds=np.ones((2, 2)),
        allowed=np.eye(2, dtype=bool),
        transit_s={1: np.array([[0.0, np.inf], [np.inf, 0.0]])},
    )
    board = Board(apart)
    board.place(0, board.best(0))
    with pytest.raises(ConfigurationError, match="reach no agent") as caught:
        board.best(1)
    assert caught.value.hint
