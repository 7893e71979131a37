"""Every retention against a slow reference that knows nothing of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agents.answering.streaming_ridge import StreamingRidge
from agents.continual import ER, EWC, Retention, Ridge
from agents.continual.ewc import FisherState
from agents.continual.ridge_memory import RidgeState, rotation
from agents.continual.text_memory import MemoryState
from agents.exchange.isolated import Isolated
from agents.objectives import Labelled, Step
from agents.objectives.base import LabelledTexts
from agents.objectives.labelled import LABEL_HEAD
from agents.text.tokens import Text
from agents.training.blueprint import Arm

CLASSES = 4
ALONE = Arm(Isolated(), anchor_fraction=0.0)


@pytest.fixture
def begun(make_host):
    """Make an agent that learns four labels under a retention, and has taken a round."""

    def make(retention: Retention) -> Any:
        host = make_host(1, objectives=(Labelled(classes=CLASSES, share=1.0), retention))
        host.begin(ALONE)
        host.train(1)
        agent = host.agents[0]
        agent.encoder.eval()
        return agent

    return make


def step_of(agent: Any, index: int = 1, seed: int = 0) -> Step:
    return Step(
        agent.encoder,
        {},
        np.random.default_rng(seed),
        state=agent.state.objectives[index],
        batch=agent.resident.pad,
    )


def slow_scores(agent: Any, tokens: np.ndarray) -> np.ndarray:
    """Class scores of one text, alone in its batch, by hand from the pooled state on."""
    head = agent.encoder.heads[LABEL_HEAD]
    with torch.no_grad():
        pooled = agent.encoder.pool_batch(agent.resident.pad([tokens.astype(np.int64)]))[0]
    away = (pooled - head.mean).double().numpy()
    weight, bias = (
        each.detach().double().numpy() for each in (head.linear.weight, head.linear.bias)
    )
    return weight @ (away / np.linalg.norm(away)) * len(away) ** 0.5 + bias


def cross_entropy(scores: np.ndarray, label: int) -> float:
    return float(np.log(np.exp(scores).sum()) - scores[label])


def memory_of(agent: Any) -> MemoryState:
    return MemoryState.narrow(agent.state.objectives[1])


def test_replay_stores_the_labelled_texts_of_the_episode(begun) -> None:
    agent = begun(ER())
    agent.consolidate(0)
    memory = memory_of(agent)
    budget = agent.resident.collate.budget
    known = {
        tuple(t.tokens[:budget].tolist()): int(c)
        for t, c in zip(agent.labelled.texts, agent.labelled.classes, strict=True)
    }
    found = {tuple(t.tolist()): c for t, c in zip(memory.tokens, memory.classes, strict=True)}
    assert found == known


def test_replay_is_the_cross_entropy_of_stored_texts(begun) -> None:
    retention = ER(drawn=64)
    agent = begun(retention)
    agent.consolidate(0)
    memory = memory_of(agent)
    slow = [
        cross_entropy(slow_scores(agent, tokens), label)
        for tokens, label in zip(memory.tokens, memory.classes, strict=True)
    ]
    found = retention.loss(step_of(agent))
    assert found.loss.item() == pytest.approx(np.mean(slow), rel=1e-4)
    collate = agent.resident.collate
    lengths = [len(each) + collate.special_count for each in memory.tokens]
    assert sorted(found.token_counts) == sorted(lengths)
    found.loss.backward()
    assert agent.resident.binding.gradient.abs().sum() > 0


def test_fisher_information_is_the_mean_of_squared_gradients(begun) -> None:
    agent = begun(EWC())
    agent.consolidate(0)
    state = FisherState.narrow(agent.state.objectives[1])
    encoder, head = agent.encoder, agent.encoder.heads[LABEL_HEAD]
    slow = torch.zeros_like(agent.resident.binding.gradient)
    for text, label in zip(agent.labelled.texts, agent.labelled.classes, strict=True):
        agent.resident.binding.gradient.zero_()
        scores = head(encoder.pool_batch(agent.resident.pad([text])))
        (-torch.log_softmax(scores, dim=-1)[0, int(label)]).backward()
        slow += agent.resident.binding.gradient**2
    slow /= len(agent.labelled.texts)
    assert slow.sum() > 0
    for slot in agent.slots:
        torch.testing.assert_close(state.fisher[slot.name], slot.view(slow), rtol=1e-4, atol=1e-9)
        assert torch.equal(state.centre[slot.name], slot.view(agent.parameters))


def test_elastic_penalty_is_the_weighted_square_of_the_way(begun) -> None:
    retention = EWC(strength=5.0)
    agent = begun(retention)
    agent.consolidate(0)
    assert retention.loss(step_of(agent)).loss.item() == 0.0
    before = agent.parameters.clone()
    agent.parameters.add_(
        torch.randn(len(before), generator=torch.Generator().manual_seed(0)), alpha=0.1
    )
    fisher = FisherState.narrow(agent.state.objectives[1]).fisher
    slow = 0.0
    for slot in agent.slots:
        way = (slot.view(agent.parameters) - slot.view(before)).double()
        slow += 2.5 * float((fisher[slot.name].double() * way**2).sum())
    loss = retention.loss(step_of(agent)).loss
    assert loss.item() == pytest.approx(slow, rel=1e-4)
    agent.resident.binding.gradient.zero_()
    loss.backward()
    name = max(fisher, key=lambda each: float(fisher[each].sum()))
    slot = next(each for each in agent.slots if each.name == name)
    expected = 5.0 * fisher[name] * (slot.view(agent.parameters) - slot.view(before))
    torch.testing.assert_close(slot.view(agent.resident.binding.gradient), expected)


def test_importance_is_summed_over_episodes_by_its_decay(begun) -> None:
    agent = begun(EWC(decay=0.5))
    agent.consolidate(0)
    first = dict(FisherState.narrow(agent.state.objectives[1]).fisher)
    agent.consolidate(1)  # the same parameters and texts: the same information again
    second = FisherState.narrow(agent.state.objectives[1]).fisher
    for name, values in first.items():
        torch.testing.assert_close(second[name], 1.5 * values, rtol=1e-4, atol=1e-9)


def test_ridge_head_is_that_of_all_labelled_texts_so_far(begun, sentences) -> None:
    agent = begun(Ridge(classes=CLASSES, l2=0.5, aligned=False))
    assert agent.ridge_scores(sentences[:3]) is None
    centre = agent._evaluation_mean().numpy()
    rows = []
    for episode in (0, 1):
        agent.parameters.mul_(1 + 0.02 * episode)
        collate = agent.resident.collate_evaluation
        texts = [text.tokens[: collate.budget] for text in agent.labelled.texts]
        rows.append(agent._encode(texts, collate).numpy())
        agent.consolidate(episode)
    labels = np.tile(agent.labelled.classes, 2)
    head = StreamingRidge.begin(centre, CLASSES).learn(np.concatenate(rows), labels).head(0.5)
    np.testing.assert_allclose(
        agent.ridge_scores(sentences[:3]), head.scores(agent.embed(sentences[:3])), atol=1e-5
    )


def test_ridge_head_survives_a_motion_of_the_encoder() -> None:
    """An encoder that turns and shifts between episodes, and no more, is as good as one that stays."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    public, texts, labels = (
        rng.standard_normal((40, 6)),
        rng.standard_normal((30, 6)),
        np.arange(30) % 4,
    )

    def after(turned: np.ndarray, shift: float, retention: Ridge) -> np.ndarray:
        state = RidgeState()
        for frame, moved, part in (
            (np.eye(6), 0.0, slice(0, 15)),
            (turned, shift, slice(15, 30)),
        ):
            learnt = LabelledTexts(
                [Text.of(np.array([i + 1])) for i in range(30)[part]], labels[part]
            )
            end = SimpleNamespace(
                state=state,
                learnt=learnt,
                public=lambda f=frame, m=moved: public @ f + m,
                embed=lambda _, f=frame, m=moved, p=part: texts[p] @ f + m,
            )
            retention.consolidate(end)
        return retention.scores(state, texts @ turned + shift)

    ridge = Ridge(classes=4)
    np.testing.assert_allclose(after(turn, 2.0, ridge), after(np.eye(6), 0.0, ridge), atol=1e-3)
    unaligned = Ridge(classes=4, aligned=False)
    still = after(np.eye(6), 0.0, unaligned)
    assert np.abs(after(turn, 0.0, unaligned) - still).max() > 0.1
    assert np.abs(after(np.eye(6), 2.0, unaligned) - still).max() > 0.1


def test_rotation_leaves_alone_what_too_few_public_texts_do_not_show() -> None:
    """Five texts of twelve dimensions: an encoder that has not moved, and one that turned their plane."""
    rng = np.random.default_rng(0)
    public = rng.standard_normal((5, 12))
    np.testing.assert_allclose(rotation(public, public), np.eye(12), atol=1e-6)
    turn = np.eye(12)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    flat = public * (np.arange(12) < 3)
    np.testing.assert_allclose(rotation(flat @ turn, flat), turn.T, atol=1e-6)
