"""Several strategies at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity, SimilarityState
from agents.exchange.base import ExchangeState
from agents.exchange.hybrid import Hybrid
from agents.exchange.parameters.fedavg import FedAvg
from agents.training.blueprint import Arm
from protocols.topologies.peer import Ring

BOTH = Hybrid(strategies=(FedAvg(every=3), AnchorSimilarity()))


def test_each_strategy_speaks_at_its_own_period():
    from agentos.rounds.hop_schedule import scheduled_hops

    network = Ring().build(7, seed=0)
    spoken = {
        round: [scheduled.part for scheduled in scheduled_hops(BOTH, network, round, rounds=6)]
        for round in range(1, 7)
    }
    # Similarities change nothing after the last round; weights do.
    assert spoken == {1: [1], 2: [1], 3: [0, 1], 4: [1], 5: [1], 6: [0]}


def test_hops_are_numbered_through_the_round_over_all_strategies():
    from agentos.rounds.hop_schedule import scheduled_hops
    from protocols.topologies.master_slave import MasterSlave

    network = MasterSlave().build(7, seed=0)
    numbers = [
        (scheduled.number, scheduled.part)
        for scheduled in scheduled_hops(BOTH, network, 3, rounds=6)
    ]
    assert numbers == [(0, 0), (1, 0), (2, 1), (3, 1)]


def test_parts_do_what_they_do_alone(make_society):
    """Weights first, then similarities of the averaged encoders: the same numbers as one by one."""
    society = make_society(BOTH, Ring())
    society.run(3)
    together = {
        id: (agent.parameters.clone(), agent.state.exchange)
        for id, agent in society.host.agents.items()
    }
    society = make_society(FedAvg(), Ring())
    society.run(3)
    for id, agent in society.host.agents.items():
        assert torch.equal(agent.parameters, together[id][0])
    society = make_society(AnchorSimilarity(), Ring())
    for id, agent in society.host.agents.items():
        agent.parameters.copy_(together[id][0])
    society.run(3)
    for id, agent in society.host.agents.items():
        assert torch.equal(agent.exchange_state.teacher, together[id][1][1].teacher)
        assert not hasattr(together[id][1][0], "teacher")


def test_losses_of_the_parts_are_added(make_society):
    once = make_society(AnchorSimilarity(), Ring())
    once.run(1)
    alone = once.train(2)[0]["exchange_loss"]
    two = Hybrid(strategies=(AnchorSimilarity(), AnchorSimilarity()))
    twice = make_society(two, Ring())
    twice.run(1)
    assert twice.train(2)[0]["exchange_loss"] == pytest.approx(2 * alone, rel=1e-5)


def test_strategies_that_disagree_are_refused():
    with pytest.raises(ValueError, match="anchor_share"):
        Hybrid(strategies=(AnchorSimilarity(anchor_share=0.2), AnchorSimilarity()))
    unlike = Hybrid(strategies=(AnchorContrast(dimension=8), AnchorContrast()))
    with pytest.raises(ValueError, match="dimension"):
        unlike.heads(frozenset({64, 128}))


@dataclass
class PrivateViews(SimilarityState):
    private: Any = None


class Probe(AnchorSimilarity):
    """Keeps its views of private texts."""

    state_type: ClassVar[type[ExchangeState]] = PrivateViews
    learns_from_private: ClassVar[bool] = True

    def private_loss(self, learner, private, rng):
        learner.exchange_state.private = private


def test_preview_is_what_the_next_step_sees(make_host):
    """The same texts, views and dropout: the same pooled states, and nothing else changes."""
    host = make_host(1, training={"local_steps": 1})
    host.begin(Arm(Probe(), 0.25))
    agent = host.agents[0]
    before = agent.parameters.clone()
    previews = [agent.preview(), agent.preview()]
    assert torch.equal(agent.parameters, before)
    assert (agent.state.step, agent.state.batches) == (0, 0)
    agent.train(host.arm, 1)
    seen = agent.exchange_state.private
    for preview in previews:
        assert preview.batch == seen.batch == 0
        assert len(preview.pooled) == len(seen.pooled) == 2
        for view, later in zip(preview.pooled, seen.pooled, strict=True):
            assert view.requires_grad
            assert torch.equal(view, later)
