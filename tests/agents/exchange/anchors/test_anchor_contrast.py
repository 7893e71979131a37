from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange import Turn
from agents.exchange.anchors.anchor_contrast import AnchorContrast, exchange_width
from agents.exchange.base import AnchorBatch
from agents.objectives import functional
from protocols.messages import Embeddings
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring

EXCHANGE = AnchorContrast()


@pytest.mark.parametrize(
    "topology", [Ring(), MasterSlave(master=3), Layered()], ids=lambda topology: topology.kind
)
def test_banks_are_each_neighbours_own_embeddings_in_every_family(make_society, topology):
    society = make_society(EXCHANGE, topology)
    agents = society.host.agents
    said = {id: agents[id].embed_anchors(2, 1) for id in range(7)}
    society.run(1)
    for id, agent in agents.items():
        banks = agent.exchange_state.banks
        assert set(banks) == society.network.neighbours(id)
        for sender, bank in banks.items():
            torch.testing.assert_close(bank, said[sender], rtol=1e-5, atol=1e-6)


def test_banks_of_an_earlier_round_give_way_only_where_something_is_heard(make_learner, message):
    learner = make_learner()
    speak = Turn(round=1, hop=0, direction=Direction.PEER)
    payloads = {id: EXCHANGE.compose(make_learner(id=id), speak) for id in (1, 2, 3)}

    def merge(round, hop, *senders):
        turn = Turn(round=round, hop=hop, direction=Direction.PEER)
        inbox = [message(payloads[sender], sender, round, hop) for sender in senders]
        EXCHANGE.merge(learner, inbox, turn)
        return set(learner.exchange_state.banks)

    assert merge(1, 0) == set()
    assert merge(1, 0, 1, 2) == {1, 2}
    assert merge(1, 1, 3) == {1, 2, 3}
    assert merge(2, 0) == {1, 2, 3}
    assert merge(2, 1, 2) == {2}


def test_banks_are_normalised_copies(make_learner, message):
    learner = make_learner(crops=2, anchors=4, width=3)
    values = np.full((2, 4, 3), 5.0, dtype=np.float32)
    turn = Turn(round=1, hop=0, direction=Direction.PEER)
    EXCHANGE.merge(learner, [message(Embeddings(values=values), 1)], turn)
    bank = learner.exchange_state.banks[1]
    assert torch.allclose(bank, torch.tensor(3**-0.5))
    bank.zero_()
    assert (values == 5.0).all()


def test_loss_contrasts_the_batch_with_one_bank_and_crop_drawn_by_the_step(
    make_learner, message, draw
):
    exchange = AnchorContrast(temperature=0.2, weight=3.0, ramp=1)
    learner = make_learner()
    others = {id: make_learner(id=id) for id in (4, 7)}
    turn = Turn(round=1, hop=0, direction=Direction.PEER)
    inbox = [message(exchange.compose(other, turn), id) for id, other in others.items()]
    exchange.merge(learner, inbox, turn)
    views = (draw(3, 5).requires_grad_(), draw(3, 5).requires_grad_())
    ids = torch.tensor([5, 0, 2])
    drawn = set()
    for seed in range(12):
        loss = exchange.loss(learner, AnchorBatch(ids, views), np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        sender = (4, 7)[rng.integers(2)]
        crop = int(rng.integers(2))
        bank = others[sender].embed_anchors(2, 1)[crop]
        each = [functional.bank_contrast(view, bank, ids, 0.2) for view in views]
        assert loss.item() == pytest.approx(3.0 * (each[0] + each[1]).item() / 2, rel=1e-5)
        drawn.add((sender, crop))
    assert len(drawn) == 4
    loss.backward()
    assert all(view.grad.abs().sum() > 0 for view in views)


def test_nothing_is_learnt_before_the_first_exchange(make_learner, draw):
    batch = AnchorBatch(torch.arange(3), (draw(3, 5),))
    assert EXCHANGE.loss(make_learner(), batch, np.random.default_rng(0)) is None


def test_crops_differ_between_agents_rounds_and_within_a_message(make_host):
    from agents.training.blueprint import Arm

    host = make_host(2)
    host.begin(Arm(EXCHANGE, 0.25))
    first, other = host.agents[0], host.agents[1]
    said = first.embed_anchors(2, 1)
    assert said.shape == (2, 12, 64)
    assert not said.requires_grad
    torch.testing.assert_close(said.norm(dim=-1), torch.ones(2, 12))
    assert torch.equal(said, first.embed_anchors(2, 1))
    assert not torch.equal(said[0], said[1])
    assert not torch.equal(said, first.embed_anchors(2, 2))
    assert not torch.equal(said, other.embed_anchors(2, 1)), "the agents have the same weights"


def test_unlike_widths_meet_in_the_dimension_of_the_exchange(make_society):
    society = make_society(AnchorContrast(dimension=16), Ring(), widths=("nano", "tiny"))
    agents = society.host.agents
    assert [agents[id].encoder.width for id in (0, 1)] == [64, 128]
    assert [exchange_width(agents[id]) for id in (0, 1)] == [16, 16]
    assert agents[0].embed_anchors(2, 1).shape == (2, 12, 16)
    assert exchange_width(make_society(EXCHANGE, Ring()).host.agents[0]) == 64


def test_training_pulls_anchors_towards_the_neighbours_embeddings(make_society):
    society = make_society(AnchorContrast(ramp=1), Ring())
    society.run(1)
    agent = society.host.agents[0]
    losses = [agent.train(society.host.arm, 1)["exchange_loss"] for _ in range(40)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def test_neighbours_are_every_crop_of_every_anchor_by_every_sender(make_learner, message):
    learner = make_learner(anchors=4)
    assert EXCHANGE.neighbours(learner) is None
    others = {id: make_learner(anchors=4, id=id) for id in (5, 2)}
    turn = Turn(round=1, hop=0, direction=Direction.PEER)
    inbox = [message(EXCHANGE.compose(other, turn), id) for id, other in others.items()]
    EXCHANGE.merge(learner, inbox, turn)
    embeddings, anchors = EXCHANGE.neighbours(learner)
    expected = [
        (row, anchor)
        for id in (2, 5)
        for crop in others[id].embed_anchors(2, 1)
        for anchor, row in enumerate(crop)
    ]
    torch.testing.assert_close(embeddings, torch.stack([row for row, _ in expected]))
    assert anchors.tolist() == [anchor for _, anchor in expected]
