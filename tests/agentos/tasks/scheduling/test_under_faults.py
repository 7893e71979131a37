"""Schedules under a fault script: every subtask is done by an agent that is not lost."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.rounds.faults import FAULTS, Fault
from agentos.rounds.faults.policies import PolicyConfig
from agentos.tasks.scheduling import Heft
from agentos.tasks.scheduling.message_faults import Script
from agentos.tasks.scheduling.under_faults import Aftermath, carry_out
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import ConfigurationError
from protocols.seeding import generator

APART = 1.0 - np.eye(3)
FOUR = Workload(
    names=("a", "b", "c", "end"),
    arrows={(0, 3): 1, (1, 3): 1, (2, 3): 1},
    seconds=np.full((4, 3), 2.0),
    allowed=np.ones((4, 3), dtype=bool),
    transit_s={1: 0.5 * APART},
)
"""Three subtasks side by side, one for each agent, and one that reads them."""
DEADLINE = PolicyConfig(deadline_s=1.0)


def fault(kind: str, **fields) -> Fault:
    return FAULTS[kind].model_validate(fields)


def after(
    *faults: Fault,
    policy: PolicyConfig = DEADLINE,
    workload: Workload = FOUR,
    master: int = 0,
) -> Aftermath:
    plan = Heft().plan(workload)
    return carry_out(workload, plan, Heft(), Script(faults, policy, master=master))


def test_nothing_happens_without_faults() -> None:
    found = after()
    assert found.schedule.placements == Heft().plan(FOUR).placements
    assert (found.losses, found.wasted_s) == ((), 0.0)
    assert found.schedule.makespan_s == 4.5


CASES = [
    # fault, when it shows, work that is done again, makespan
    (fault("churn", agents=[1], rounds=1), 0.0, 0.0, 6.5),
    (fault("kill", agent=1, rounds=1), 0.0, 0.0, 6.5),
    (fault("kill", agent=1, phase="compose", rounds=1), 2.0, 2.0, 6.5),
    (fault("byzantine", agents=[1], rounds=1), 2.0, 2.0, 6.5),
    (fault("byzantine", agents=[1], mode="sign_flip", rounds=1), 2.0, 2.0, 6.5),
    (fault("stall", agents=[1], seconds=30.0, rounds=1), 3.0, 3.0, 7.5),
    (fault("drop", senders=[1], rounds=1), 3.0, 3.0, 7.5),
    (fault("corrupt", senders=[1], bits=4000, rounds=1), 2.0, 2.0, 6.5),
    (fault("corrupt", receivers=[1], bits=4000, rounds=1), 3.0, 3.0, 7.5),
]


@pytest.mark.parametrize(("struck", "at_s", "wasted_s", "makespan_s"), CASES)
def test_agent_that_dies_stalls_or_lies_loses_its_subtasks(
    struck: Fault, at_s: float, wasted_s: float, makespan_s: float
) -> None:
    """By hand: two agents do a and c until 2; b is done again from then or the loss on, and read at + 0.5."""
    found = after(struck)
    assert [loss.agent for loss in found.losses] == [1]
    assert found.losses[0].at_s == pytest.approx(at_s)
    assert found.wasted_s == pytest.approx(wasted_s)
    assert 1 not in found.schedule.agents
    assert found.schedule.makespan_s == pytest.approx(makespan_s, abs=0.5)


def test_late_answers_are_waited_for_within_the_deadline_or_without_one() -> None:
    for seconds, policy in ((0.75, DEADLINE), (30.0, PolicyConfig())):
        found = after(fault("stall", agents=[1], seconds=seconds, rounds=1), policy=policy)
        assert found.losses == ()
        assert 1 in found.schedule.agents
        assert found.schedule.makespan_s >= 4.0 + seconds


def test_lost_answers_are_sent_again() -> None:
    dropped = fault("drop", share=0.3, rounds=1)
    tries = [after(dropped, policy=PolicyConfig(retries=r, deadline_s=1.0)).losses for r in (0, 60)]
    assert tries[0]
    assert not tries[1]


def test_two_agents_that_stall_are_both_lost_though_only_one_is_noticed_first() -> None:
    """Both have begun when the first is noticed: the other's answer must not count as given."""
    slow = FOUR.seconds.copy()
    slow[:, 2] = 2.5
    work = Workload(FOUR.names, FOUR.arrows, slow, FOUR.allowed, FOUR.transit_s)
    found = after(fault("stall", agents=[1, 2], seconds=99.0, rounds=1), workload=work)
    assert sorted(loss.agent for loss in found.losses) == [1, 2]
    assert set(found.schedule.agents) == {0}
    # Noticed at 3 and 3.5: agent 0 does the one from 3, the other from 5, the end from 7.
    assert found.schedule.makespan_s == pytest.approx(9.0)


def test_outcome_is_the_same_again_and_other_draws_give_others() -> None:
    plan = Heft().plan(FOUR)
    fault_script = (fault("drop", share=0.4),)

    def lost(seed: int) -> list[int]:
        policy = PolicyConfig(deadline_s=1.0)
        try:
            found = carry_out(FOUR, plan, Heft(), Script(fault_script, policy, seed))
        except ConfigurationError:
            return [-1]
        return [loss.agent for loss in found.losses]

    outcomes = [lost(seed) for seed in range(8)]
    assert outcomes == [lost(seed) for seed in range(8)]
    assert len({tuple(each) for each in outcomes}) > 1


def test_agent_that_gets_no_assignment_is_lost_and_messages_to_oneself_are_not_struck() -> None:
    found = after(fault("drop", receivers=[1], rounds=1))
    assert [loss.agent for loss in found.losses] == [1]
    for own in ("stall", "byzantine"):
        more = {"seconds": 0.5} if own == "stall" else {}
        lying = after(fault(own, agents=[0], rounds=1, **more))
        assert lying.losses == (), "the master's answers stay where they are"


def test_spare_agents_get_a_subtask_once_no_other_is_left() -> None:
    allowed = np.ones((4, 3), dtype=bool)
    allowed[0] = [False, True, False]
    work = Workload(FOUR.names, FOUR.arrows, FOUR.seconds, allowed, FOUR.transit_s)
    killed = fault("kill", agent=1, rounds=1)
    with pytest.raises(ConfigurationError, match="no agent may do"):
        after(killed, workload=work)
    found = after(killed, workload=work.sparing(np.ones((4, 3), dtype=bool)))
    assert 1 not in found.schedule.agents
    assert [try_.agents[0] == 1 for try_ in found.tries] == [True, False]
    assert 0 not in found.begun(0)


def test_losing_everyone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no agent may do") as caught:
        after(fault("churn", agents=[0, 1, 2]))
    assert caught.value.hint


@pytest.mark.parametrize("seed", range(12))
def test_every_subtask_is_done_in_order_by_agents_that_were_not_lost_before(seed: int) -> None:
    rng = generator(seed, "faulty")
    subtasks, agents = int(rng.integers(3, 9)), 4
    pairs = {
        (i, j): 1 for j in range(subtasks) for i in range(j) if rng.random() < 0.3
    }  # fmt: skip
    work = Workload(
        names=tuple(map(str, range(subtasks))),
        arrows=pairs,
        seconds=rng.uniform(1, 3, size=(subtasks, agents)),
        allowed=np.ones((subtasks, agents), dtype=bool),
        transit_s={1: rng.uniform(0.1, 1, size=(agents, agents)) * (1 - np.eye(agents))},
    )
    script = (
        fault("stall", agents=[int(rng.integers(3))], seconds=9.0, rounds=[1, 2]),
        fault("byzantine", agents=[int(rng.integers(3))]),
        fault("kill", agent=int(rng.integers(3)), rounds=2),
    )
    found = after(*script, workload=work, master=3)
    lost_at = {loss.agent: loss.at_s for loss in found.losses}
    assert [loss.at_s for loss in found.losses] == sorted(loss.at_s for loss in found.losses)
    for placement in found.schedule.placements:
        assert placement.end_s <= lost_at.get(placement.agent, np.inf)
    for source, reader in pairs:
        one, other = found.schedule.placements[source], found.schedule.placements[reader]
        assert other.start_s >= one.end_s + work.transit_s[1][one.agent, other.agent] - 1e-9
