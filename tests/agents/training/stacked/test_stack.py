"""Agents that train together against the same agents one by one, dropout included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import EXCHANGES
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.objectives import CausalLM, InfoNCE, Labelled, LossOutput, MaskedLM, NTXent, Objective
from agents.objectives.simcse import SimCSE
from agents.training.blueprint import Arm
from agents.training.optimizers import SGD, Adafactor
from agents.views import Crop, TokenCutoff
from protocols.errors import TrainingError
from protocols.topologies.peer import Ring

BERT = EncoderConfig(preset="nano", dropout=0.2, projection=16)
GPT2 = EncoderConfig(preset="nano-decoder", dropout=0.2)
LAST = EncoderConfig(preset="nano-decoder", dropout=0.0, pooling="last")
ALONE = Arm(Isolated(), anchor_fraction=0.25)
ROUNDING = 1e-3
"""Largest difference after four steps, as a share of what they changed: the order of sums differs.

Of all parameters together: Adam turns the rounding of a gradient near zero into a step of full size.
"""

SETTINGS = {
    "bert contrastive": {"encoders": (BERT,)},
    "bert nt_xent": {"encoders": (BERT,), "objectives": (NTXent(learn_temperature=True),)},
    "bert simcse": {"encoders": (BERT,), "objectives": (SimCSE(),)},
    "bert masked": {"encoders": (BERT,), "objectives": (MaskedLM(),)},
    "bert two": {"encoders": (BERT,), "objectives": (InfoNCE(), MaskedLM(), Labelled(classes=4))},
    "bert hidden": {
        "encoders": (BERT,),
        "objectives": (InfoNCE(views=(Crop(), TokenCutoff(p=0.3))),),
    },
    "gpt2 causal": {"encoders": (GPT2,), "objectives": (CausalLM(),)},
    "gpt2 last": {"encoders": (LAST,)},
    "gpt2 hidden": {
        "encoders": (GPT2,),
        "objectives": (InfoNCE(views=(TokenCutoff(p=0.5),)),),
    },
    "then a queue": {"encoders": (BERT,), "objectives": (MaskedLM(), InfoNCE(queue=24))},
    "accumulated": {"encoders": (BERT,), "training": {"accumulate": 2}},
    "sgd": {"encoders": (BERT,), "training": {"optimizer": SGD(), "learning_rate": 0.05}},
    "adafactor": {"encoders": (BERT,), "training": {"optimizer": Adafactor()}},
    "a bucket each": {"encoders": (BERT,), "training": {"length_buckets": True}},
}


def trained(host, arm: Arm = ALONE, rounds: int = 2):
    """Train from the beginning; return the metrics of the last round, and copies of what was learnt."""
    host.begin(arm)
    metrics = [host.train(round) for round in range(1, rounds + 1)][-1]
    parameters = {id: agent.parameters.clone() for id, agent in host.agents.items()}
    return metrics, parameters


def apart(found, known, agent) -> float:
    """Return how far two results of training lie from each other, as a share of what training changed."""
    moved = (known - agent.resident.new_state(agent.id).parameters).norm()
    return float((found - known).norm() / moved)


def without_times(metrics):
    return {name: value for name, value in metrics.items() if not name.endswith("_s")}


@pytest.mark.parametrize("setting", SETTINGS)
def test_agents_of_a_stack_learn_what_they_learn_one_by_one(make_host, setting, monkeypatch):
    if setting == "a bucket each":
        monkeypatch.setattr("agents.training.shared_model.pass_tokens", lambda width: 4)
    fields = SETTINGS[setting]
    host = make_host(5, **fields)
    expected, alone = trained(host)
    metrics, together = trained(make_host(5, stack=3, **fields))
    for agent, parameters in alone.items():
        assert apart(together[agent], parameters, host.agents[agent]) < ROUNDING
        found, known = without_times(metrics[agent]), without_times(expected[agent])
        assert found == pytest.approx(known, rel=1e-4, abs=1e-5)
        counts = ("steps", "tokens", "anchor_tokens", "embedded_tokens")
        assert [found[name] for name in counts] == [known[name] for name in counts]


def test_other_learning_is_further_apart_than_rounding(make_host):
    host = make_host(1, encoders=(BERT,))
    _, parameters = trained(host)
    _, others = trained(make_host(1, encoders=(BERT,), objectives=(InfoNCE(temperature=0.06),)))
    assert apart(others[0], parameters[0], host.agents[0]) > 50 * ROUNDING


@pytest.mark.parametrize("setting", ["bert two", "gpt2 causal", "bert hidden", "then a queue"])
def test_numbers_do_not_depend_on_who_shares_a_stack(make_host, setting):
    fields = SETTINGS[setting]
    found = [trained(make_host(6, stack=size, **fields))[1] for size in (2, 4, 16)]
    from agents.hosting.host import Host

    whole = make_host(6, stack=4, **fields)
    apart = Host(whole.store)
    apart.build(whole.blueprint.only([1, 5]))
    found.append(trained(apart)[1])
    for parameters in found[1:]:
        assert all(torch.equal(each, found[0][agent]) for agent, each in parameters.items())


@pytest.mark.parametrize("exchange", ["anchor_contrast", "pseudo_labels", "fedprox", "diloco"])
def test_exchange_of_a_stacked_agent_sees_the_agent_alone(make_society, exchange):
    options = {"pseudo_labels": {"classes": 4, "confidence": 0.0}}
    losses = []
    for size in (1, 4):
        society = make_society(EXCHANGES[exchange](**options.get(exchange, {})), Ring())
        host = society.host
        host.stack_sizes = dict.fromkeys(host.stack_sizes, size)
        host.train(1)
        society.run(1)
        metrics = host.train(2)
        losses.append([without_times(metrics[agent]) for agent in range(7)])
    for alone, together in zip(*losses, strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-5)


def test_agents_go_on_alone_after_a_stack_from_the_same_state(make_host):
    host, expected = make_host(3, stack=3), make_host(3)
    for each in (host, expected):
        each.begin(ALONE)
        each.train(1)
    host.stack_sizes = dict.fromkeys(host.stack_sizes, 1)
    host.train(2)
    expected.train(2)
    for agent in range(3):
        ours, theirs = host.agents[agent].state, expected.agents[agent].state
        assert apart(ours.parameters, theirs.parameters, host.agents[agent]) < ROUNDING
        assert ours.step == theirs.step == 4
        assert [int(kept["step"]) for kept in ours.optimizer] == [4, 4]


class Ruined(Objective):
    """A loss that is not a number for texts of one agent."""

    kind: str = "ruined"
    encodes = "texts"

    def prepare(self, raw):
        return {"texts": raw.collate(raw.texts), "first": np.array([raw.texts[0].tokens[0]])}

    def loss(self, step):
        pooled = step.encode(step.inputs["texts"])
        factor = float("nan") if RUINED and step.rng.random() < RUINED[0] else 1.0
        return LossOutput(pooled.square().mean() * factor, step.inputs["texts"].lengths, (pooled,))


RUINED: list[float] = []


def test_agent_that_diverges_is_undone_and_leaves_its_stack_unharmed(make_host):
    host = make_host(3, objectives=(Ruined(),), stack=3, training={"view_workers": 0})
    host.begin(Arm(Isolated(), 0.0, undoes_diverged=True))
    host.train(1)
    kept = host.agents[1].parameters.clone()
    host.agents[1].parameters[0] = float("inf")
    metrics = host.train(2)
    assert "diverged" not in metrics[0]
    assert "diverged" not in metrics[2]
    assert metrics[1]["diverged"] == 1.0
    assert torch.isfinite(host.agents[0].parameters).all()
    assert host.agents[1].state.step == 2  # undone
    host.agents[1].parameters.copy_(kept)
    assert set(host.train(3)) == {0, 1, 2}


def test_agent_that_diverges_in_a_stack_is_named(make_host):
    host = make_host(3, objectives=(Ruined(),), stack=3)
    host.begin(ALONE)
    host.agents[2].parameters[0] = float("nan")
    with pytest.raises(TrainingError, match="agent-2 is not finite in round 7"):
        host.train(7)


def test_heads_with_running_statistics_keep_those_of_each_agent(make_host):
    fields = {"encoders": (BERT,), "objectives": (InfoNCE(), Labelled(classes=4))}
    hosts = make_host(4, **fields), make_host(4, stack=4, **fields)
    for host in hosts:
        host.begin(ALONE)
        host.train(1)
    for agent in range(4):
        alone, together = (host.agents[agent].state.buffers for host in hosts)
        assert alone.keys() == together.keys()
        for name, kept in alone.items():
            if kept is not None:
                torch.testing.assert_close(together[name], kept, rtol=1e-4, atol=1e-5)


def test_classifier_that_learns_nothing_decays_as_it_does_alone(make_host):
    fields = {"heads": Heads(classes=4), "training": {"weight_decay": 0.5, "learning_rate": 0.1}}
    _, alone = trained(make_host(2, **fields), rounds=1)
    host = make_host(2, stack=2, **fields)
    trained(host, rounds=1)
    slot = next(s for s in host.agents[0].slots if s.name == "classifier.weight")
    for agent in (0, 1):
        torch.testing.assert_close(
            slot.view(host.agents[agent].parameters), slot.view(alone[agent])
        )
