"""Which exchanges may go at once."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.rounds.causal_order import ready

RING = {agent: [(agent - 1) % 6, (agent + 1) % 6] for agent in range(6)}
STAR = {0: [1, 2, 3], 1: [0], 2: [0], 3: [0]}


def test_agents_of_one_time_go_together() -> None:
    assert ready(dict.fromkeys(RING, 2.0), [], RING) == [0, 1, 2, 3, 4, 5]


def test_agents_of_one_time_wait_for_each_other() -> None:
    # 1 waits for 0, which trains; so 2 waits for 1, which is due when it is, and 3 for 2.
    due = {1: 2.0, 2: 2.0, 3: 2.0, 4: 1.0, 5: 7.0}
    assert ready(due, [0], RING) == [4]


def test_slaves_go_until_the_master_is_due() -> None:
    due = {0: 5.0, 1: 1.0, 2: 4.0, 3: 6.0}
    assert ready(due, [], STAR) == [1, 2]
    assert ready({0: 5.0, 3: 6.0}, [1, 2], STAR) == []  # they may come before 5
    assert ready({0: 5.0, 1: 5.5, 2: 7.0, 3: 6.0}, [], STAR) == [0]


@pytest.mark.parametrize("seed", range(20))
def test_somebody_goes_where_nobody_is_to_train(seed: int) -> None:
    rng = np.random.default_rng(seed)
    senders = {a: [b for b in range(8) if b != a and rng.random() < 0.4] for a in range(8)}
    due = {agent: float(rng.integers(1, 4)) for agent in range(8) if rng.random() < 0.7}
    assert bool(ready(due, [], senders)) == bool(due)
    first = min(due.values(), default=0.0)
    assert {a for a, time in due.items() if time == first} <= {*ready(due, [], senders)}
