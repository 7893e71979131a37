"""Steps of decoders that write together, where a message is lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentos.rounds.faults.drop import Drop
from agentos.tasks.cooperation.joint_writing import JointWriting
from agentos.tasks.cooperation.setting import Setting
from agentos.tasks.cooperation.traffic import Traffic
from protocols.seeding import generator


def test_agent_that_is_not_heard_expects_every_token_alike(
    setting: Callable[..., Setting],
) -> None:
    talk = Traffic(np.arange(2), setting(faults=(Drop(senders=(1,)),)))
    joint = JointWriting(talk, (0, 1, 2), ("a" * 16, "b" * 16, "c" * 16), "d" * 16, sent=None)
    rows = generator(0, "rows").dirichlet(np.ones(5), size=2)
    for step in range(2):
        for agent in range(3):
            heard = joint.expect(agent, rows, talk.ids, step, flops=8.0)
            np.testing.assert_allclose(heard, 0.2 if agent == 1 else rows, atol=1e-6)
        joint.decide(np.array([3, 4]), talk.ids, 5)
    assert joint.silent == {1}
    sent = talk.ledger.rows()["sender"]
    assert (sent.count(1), sent.count(2)) == (1, 2), "an agent that is not heard sends nothing more"
    np.testing.assert_array_equal(talk.flops, [2 * 3 * 8.0 / 2] * 2)
