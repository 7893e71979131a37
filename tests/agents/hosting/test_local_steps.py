from __future__ import annotations

from itertools import chain

import torch

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.hosting.local_steps import stacks_of
from agents.training.blueprint import Arm

ALONE = Arm(Isolated(), 0.25)
MIXED = (EncoderConfig(preset="nano"), EncoderConfig(preset="nano-decoder"))


def test_stacks_hold_agents_of_one_architecture_batch_size_and_step(make_host):
    host = make_host(8, encoders=MIXED, stack=2)
    host.begin(ALONE)
    host.train_rounds({2: 1})
    sizes = dict.fromkeys(host.residents.values(), 2)
    agents = [host.agents.counters(id) for id in range(8)]
    stacks = stacks_of(agents, ALONE, sizes)
    assert sorted(chain.from_iterable(stacks)) == list(range(8))
    assert max(map(len, stacks)) == 2
    for stack in stacks:
        kinds = {
            (
                agents[id].resident.group.encoder.preset,
                agents[id].state.step,
                agents[id].examples >= 9,
            )
            for id in stack
        }
        assert len(kinds) == 1
    assert [2] in stacks  # the only one that has trained


def test_stacks_under_a_budget_of_one_state_learn_the_same(make_host):
    found = []
    for budget in (1, 2**40):
        host = make_host(5, stack=3, state_bytes=budget, encoders=(MIXED[0],))
        host.begin(ALONE)
        for round in (1, 2):
            assert set(host.train(round)) == set(range(5))
            if budget == 1:
                assert host.agents.spilled_bytes > 0
        found.append([host.agents.unchanged(id).parameters.clone() for id in range(5)])
        host.close()
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_absent_agents_of_a_stack_stay_as_they_are(make_host):
    host = make_host(4, stack=4)
    host.begin(ALONE)
    before = host.agents[1].parameters.clone()
    assert set(host.train(1, absent={1})) == {0, 2, 3}
    assert torch.equal(host.agents[1].parameters, before)
