from __future__ import annotations

import numpy as np
import torch

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.cpu.byte_dropout import ByteDropout
from agents.training.blueprint import Arm

ALONE = Arm(Isolated(), anchor_fraction=0.25)
NOISY = EncoderConfig(preset="nano")


def moments(state) -> list[torch.Tensor]:
    return [kept[name] for kept in state.optimizer for name in ("exp_avg", "exp_avg_sq")]


def state_of(host) -> dict[int, list[torch.Tensor]]:
    return {
        id: [agent.state.parameters, *moments(agent.state)]
        for id, agent in sorted(host.agents.items())
    }


def same_bits(first, second) -> bool:
    assert first.keys() == second.keys()
    return all(
        torch.equal(a, b) for id in first for a, b in zip(first[id], second[id], strict=True)
    )


def train(host, rounds: int, arm: Arm = ALONE) -> list[dict[int, dict[str, float]]]:
    host.begin(arm)
    return [host.train(round) for round in range(1, rounds + 1)]


def test_training_twice_from_one_seed_gives_identical_bits(make_host):
    hosts = [make_host(2, encoders=(NOISY,)) for _ in range(2)]
    for host in hosts:
        train(host, 2)
    assert same_bits(*map(state_of, hosts))
    other = make_host(2, encoders=(NOISY,), seed=4)
    train(other, 2)
    assert not same_bits(state_of(hosts[0]), state_of(other))


def test_beginning_again_on_the_same_host_repeats_the_run(make_host):
    host = make_host(2, encoders=(NOISY,))
    first = train(host, 2)
    expected = {id: [t.clone() for t in tensors] for id, tensors in state_of(host).items()}
    again = train(host, 2)
    assert same_bits(state_of(host), expected)
    for before, after in zip(first, again, strict=True):
        for id in before:
            for metrics in (before[id], after[id]):
                del metrics["train_s"], metrics["wait_s"]
        assert before == after


def test_packing_of_agents_on_hosts_and_their_order_change_no_bit(make_host, make_blueprint):
    together = make_host(3, encoders=(NOISY,))
    train(together, 2)
    members = make_blueprint(3).members
    reversed_ = make_host(3, encoders=(NOISY,), members=members[::-1])
    train(reversed_, 2)
    assert same_bits(state_of(together), state_of(reversed_))
    for id in range(3):
        alone = make_host(3, encoders=(NOISY,), members=(members[id],))
        train(alone, 2)
        assert same_bits(state_of(alone), {id: state_of(together)[id]})


def test_one_long_round_and_two_short_ones_read_and_step_alike_without_dropout(make_host):
    long, short = (
        make_host(2, training={"local_steps": steps, "learning_rate": 1e-3}) for steps in (4, 2)
    )
    train(long, 1)
    train(short, 2)
    assert same_bits(state_of(long), state_of(short))


def test_training_leaves_the_global_generators_as_they_were(make_host):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    host = make_host(2, encoders=(NOISY,), individual_initialisation=True)
    train(host, 1)
    host.evaluate()
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_training_does_not_depend_on_the_global_generator(make_host):
    hosts = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            hosts.append(make_host(1, encoders=(NOISY,)))
            train(hosts[-1], 1)
    assert same_bits(*map(state_of, hosts))


def test_dropout_masks_depend_on_the_agent_and_the_step_alone(make_host):
    host = make_host(1, encoders=(NOISY,), training={"local_steps": 1})
    host.begin(ALONE)
    agent, masks = host.agents[0], []
    layer = next(m for m in agent.encoder.modules() if isinstance(m, ByteDropout))
    layer.register_forward_hook(lambda _, inputs, out: masks.append((out == 0).flatten()[:200]))
    for agent.id, agent.state.step in ((0, 0), (1, 0), (0, 1), (0, 0)):
        agent.train(ALONE, 1)
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(masks[0], masks[3])
