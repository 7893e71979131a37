"""Recall: what is noted before the first step, who teaches it, and the divergence from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.anchors.anchor_recall import AnchorRecall, RecallState
from agents.exchange.base import AnchorBatch
from protocols.topologies.peer import Ring

RECALL = AnchorRecall(temperature=0.2, weight=3.0)


def noted(agent) -> np.ndarray:
    """The geometry of an agent's anchors, by plain loops."""
    mean_ND = agent.embed_anchors(RECALL.crops, 0).mean(dim=0).double().numpy()
    unit = mean_ND / np.linalg.norm(mean_ND, axis=1, keepdims=True)
    rows = []
    for i, row in enumerate(unit):
        raised = [0.0 if i == j else np.exp(row @ other / 0.2) for j, other in enumerate(unit)]
        rows.append(np.array(raised) / sum(raised))
    return np.array(rows)


@pytest.fixture
def society(make_society):
    return make_society(RECALL, Ring())


def test_teacher_is_the_mean_of_what_neighbours_and_the_agent_noted(society) -> None:
    agents = society.host.agents
    before = {id: noted(agents[id]) for id in (6, 0, 1)}
    society.train(1)  # agents 0, 3 and 6 learn on; what they noted does not
    society.run(1)
    state = RecallState.narrow(agents[0].exchange_state)
    np.testing.assert_allclose(state.recalled, before[0], atol=1e-5)
    np.testing.assert_allclose(state.teacher, np.mean(list(before.values()), axis=0), atol=1e-5)


def test_own_teacher_is_the_earlier_self(make_society) -> None:
    society = make_society(RECALL.model_copy(update={"teacher": "own"}), Ring())
    before = noted(society.host.agents[0])
    society.train(1)
    for scheduled in society.scheduled_hops(1):
        assert society.deliver(scheduled, 0, []) == []
    teacher = RecallState.narrow(society.host.agents[0].exchange_state).teacher
    np.testing.assert_allclose(teacher, before, atol=1e-5)


@pytest.mark.parametrize("exchanged", [False, True])
def test_loss_is_the_divergence_on_the_anchors_of_a_batch(society, exchanged) -> None:
    agent = society.host.agents[0]
    RECALL.before_step(agent)
    if exchanged:
        society.run(1)
        agent = society.host.agents[0]
    state = RecallState.narrow(agent.exchange_state)
    teacher = (state.teacher if exchanged else state.recalled).double().numpy()
    ids = [2, 5, 7, 11]
    pooled = tuple(torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3)))
    found = RECALL.loss(agent, AnchorBatch(torch.tensor(ids), pooled), np.random.default_rng(0))
    slow = []
    for view in pooled:
        unit = view.double().numpy()
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        for i in range(4):
            others = [j for j in range(4) if j != i]
            target = np.array([teacher[ids[i], ids[j]] for j in others])
            target /= target.sum()
            raised = np.exp([unit[i] @ unit[j] / 0.2 for j in others])
            own = raised / raised.sum()
            slow.append((target * (np.log(target) - np.log(own))).sum())
    assert float(found) == pytest.approx(3.0 * np.mean(slow), rel=1e-3)


def test_noting_leaves_the_encoder_in_training(society) -> None:
    agent = society.host.agents[1]
    agent.encoder.train()
    RECALL.before_step(agent)
    assert agent.encoder.training
    kept = RecallState.narrow(agent.exchange_state).recalled
    RECALL.before_step(agent)
    assert RecallState.narrow(agent.exchange_state).recalled is kept


def test_agents_recall_from_the_first_step_and_send_once(society) -> None:
    assert all("exchange_loss" in metrics for metrics in society.train(1).values())
    assert [round for round in range(1, 6) if RECALL.is_due(round, 5)] == [1]
    assert not RECALL.is_due(1, 1)
