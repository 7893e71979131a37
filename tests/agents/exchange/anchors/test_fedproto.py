"""Prototypes of the anchors' classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.anchors.fedproto import FedProto, counted_mean
from agents.exchange.base import AnchorBatch, Heads
from protocols.messages import Prototypes
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring

EXCHANGE = FedProto(classes=4, ramp=1, weight=2.0)
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def own_means(agent) -> np.ndarray:
    """Average each class's embeddings, anchor by anchor."""
    mean = agent.embed_anchors(2, 1).mean(dim=0).double().numpy()
    return np.stack([mean[agent.anchor_clusters == each].mean(axis=0) for each in range(4)])


@pytest.mark.parametrize(
    "topology", [Ring(), MasterSlave(master=3), Layered()], ids=lambda topology: topology.kind
)
def test_prototypes_are_the_mean_over_the_neighbourhood_or_everybody(make_society, topology):
    society = make_society(EXCHANGE, topology)
    agents = society.host.agents
    own = np.stack([own_means(agents[id]) for id in range(7)])
    assert np.abs(own[0] - own[1]).max() > 1e-3
    society.run(1)
    for id in range(7):
        among = [id, (id - 1) % 7, (id + 1) % 7] if topology.kind == "ring" else list(range(7))
        values, counts = agents[id].exchange_state.fused
        np.testing.assert_allclose(values, own[among].mean(axis=0), rtol=1e-4, atol=1e-6)
        assert counts.tolist() == [3.0 * len(among)] * 4


def test_mean_weighs_every_class_by_its_count(draw):
    parts = [(draw(3, 2), torch.tensor(counts)) for counts in ([1.0, 0.0, 0.0], [3.0, 2.0, 0.0])]
    values, counts = counted_mean(parts)
    assert counts.tolist() == [4.0, 2.0, 0.0]
    expected = np.average([v.numpy()[0] for v, _ in parts], axis=0, weights=[1, 3])
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)
    torch.testing.assert_close(values[1], parts[1][0][1])
    assert values[2].tolist() == [0.0, 0.0]


def hear(learner, message, values, counts) -> None:
    turn = Turn(round=1, hop=1, direction=Direction.DOWN)
    payload = Prototypes(values=values, counts=np.asarray(counts, np.float32))
    EXCHANGE.merge(learner, [message(payload, 1, 1, 1)], turn)


def test_loss_is_the_squared_distance_to_the_prototype_of_the_class(make_learner, message, draw):
    clusters = [0, 1, 2, 3, 0, 1]
    learner = make_learner(clusters=clusters)
    values = draw(4, 5).numpy()
    values /= 2 * np.linalg.norm(values, axis=1, keepdims=True)  # as means of unit vectors
    hear(learner, message, values, [1.0, 0.0, 2.0, 1.0])
    ids = [5, 2, 0, 4]
    views = tuple(draw(4, 5).requires_grad_() for _ in range(2))
    batch = AnchorBatch(torch.tensor(ids), views)
    loss = EXCHANGE.loss(learner, batch, np.random.default_rng(0))
    copies = [view.detach().double().requires_grad_() for view in views]
    expected = torch.zeros((), dtype=torch.float64)
    for copy in copies:
        for row, anchor in enumerate(ids):
            if clusters[anchor] != 1:  # class 1 was never seen
                prototype = torch.from_numpy(values[clusters[anchor]]).double()
                unit = copy[row] / copy[row].norm()
                expected = expected + 2.0 * ((unit - prototype) ** 2).sum() / 3 / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    expected.backward()
    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_allclose(view.grad, copy.grad, rtol=1e-4, atol=1e-6)


def test_nothing_is_learnt_of_classes_that_nobody_has(make_learner, message, draw):
    learner = make_learner(clusters=[0, 1, 2, 3, 0, 1])
    batch = AnchorBatch(torch.arange(3), (draw(3, 5),))
    assert EXCHANGE.loss(learner, batch, np.random.default_rng(0)) is None
    hear(learner, message, draw(4, 5).numpy(), [0.0, 0.0, 0.0, 1.0])
    assert EXCHANGE.loss(learner, batch, np.random.default_rng(0)) is None


def test_loss_is_bounded_whatever_finite_numbers_a_neighbour_sends(make_learner, message, draw):
    learner = make_learner(clusters=[0, 1, 2, 3, 0, 1])
    hear(learner, message, np.full((4, 5), -3e38, np.float32), [3e38] * 4)
    batch = AnchorBatch(torch.arange(6), (draw(6, 5),))
    loss = EXCHANGE.loss(learner, batch, np.random.default_rng(0))
    assert 0.0 <= loss.item() <= 2.0 * 4.0


def test_heads_are_classes_and_where_widths_differ_a_projection():
    assert EXCHANGE.heads(frozenset({64})) == Heads(classes=4)
    assert EXCHANGE.heads(frozenset({64, 128})) == Heads(exchange_dimension=128, classes=4)


def test_more_classes_than_the_anchors_fill_are_refused():
    with pytest.raises(ValueError, match=r"exchange\.classes 4 needs at least 8 anchors"):
        EXCHANGE.check(Society((EncoderConfig(),), anchors=7, batch_size=64))
