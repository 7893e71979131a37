"""The joint embedding against loops, its cost against counting by hand, and its panels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentos.evaluation import KNN, TASKS, Evaluator, HeldOut, Retrieval
from agentos.evaluation.config import EvaluationConfig
from agentos.evaluation.joint.joint_config import JointConfig, joint_metrics
from agentos.evaluation.joint.joint_encoder import JointEncoder, fit_pca, side_by_side
from agentos.evaluation.joint.joint_plan import JointCost, JointPanels, JointPlan
from agentos.evaluation.own_labels import OwnLabels
from agents.models.text_encoder import FunctionEncoder, LabelScores
from protocols.errors import ConfigurationError

RNG = np.random.default_rng(4)
TEXTS = tuple(
    f"a summary of document {i}\nits body has the words {i} and {i * i} too" for i in range(24)
)
WIDTHS = (3, 5, 2)
TWO_TASKS = (Retrieval(), KNN(k=1))


def embedding_of(agent: int, text: str) -> list[float]:
    """Return an embedding that differs between agents, with widths of their own."""
    seed = [agent, *text.encode()]
    return np.random.default_rng(seed).normal(size=WIDTHS[agent]).astype(np.float32).tolist()


def ask(texts, agents):
    return {
        agent: (
            np.array([embedding_of(agent, text) for text in texts], dtype=np.float32),
            sum(len(text.split()) for text in texts),
        )
        for agent in agents
    }


def slow_joint(text, panel, weights):
    """Return the joint embedding of one text, number by number."""
    total = sum(weights[agent] for agent in panel)
    joint = []
    for agent in panel:
        row = embedding_of(agent, text)
        norm = math.sqrt(sum(value * value for value in row))
        joint += [math.sqrt(weights[agent] / total) * value / norm for value in row]
    return joint


def plan_of(panels, weights=(1.0, 1.0, 1.0), width=None, tasks=TWO_TASKS):
    labels = tuple("even" if i % 2 else "odd" for i in range(len(TEXTS)))
    public = tuple(f"public text number {i}" for i in range(30))
    return JointPlan(
        evaluator=Evaluator(tasks, HeldOut(TEXTS, labels), seed=3),
        joint=JointPanels(panels, weights, width, public),
        flops=lambda agent, tokens: (agent + 1) * tokens,
    )


class Members:
    """A society whose agents embed as a function says, and vote for the class of a text's first letter."""

    def __init__(self, embed) -> None:
        self.embed = embed

    def classify(self, texts, agents):
        rows = np.array([[text[0] < "m", text[0] >= "m"] for text in texts], dtype=float)
        sure = {
            agent: rows * (0.5 + 0.1 * agent) + (0.5 - 0.1 * agent) * (1 - rows) for agent in agents
        }
        tokens = sum(len(text.split()) for text in texts)
        return {agent: (LabelScores(("early", "late"), sure[agent]), tokens) for agent in agents}


def test_vote_is_the_weighted_mean_of_the_class_probabilities():
    votes = Members(ask).classify(TEXTS, (0, 2))
    joint = JointEncoder(
        lambda texts: [],
        (3.0, 1.0),
        vote=lambda texts: [scores for scores, _ in Members(ask).classify(texts, (0, 2)).values()],
    )
    slow = [
        [(3 * a + b) / 4 for a, b in zip(one, other, strict=True)]
        for one, other in zip(votes[0][0].probabilities, votes[2][0].probabilities, strict=True)
    ]
    found = joint.label_scores(TEXTS)
    np.testing.assert_allclose(found.probabilities, slow, atol=1e-12)
    assert found.names == ("early", "late")
    assert (
        JointEncoder(lambda texts: [], (1.0,), vote=lambda texts: [None]).label_scores(TEXTS)
        is None
    )


def test_unit_rows_stand_side_by_side_as_a_loop_puts_them():
    weights = (0.5, 2.0, 1.0)
    rows = [found for found, _ in ask(TEXTS, (0, 1, 2)).values()]
    slow = [slow_joint(text, (0, 1, 2), weights) for text in TEXTS]
    found = side_by_side(rows, weights)
    np.testing.assert_allclose(found, slow, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)


def test_joint_cosine_is_the_weighted_mean_of_the_cosines():
    weights = (1.0, 3.0)
    rows = [RNG.normal(size=(2, width)) for width in (4, 7)]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in rows]
    one, other = side_by_side(rows, weights)
    assert one @ other == pytest.approx((cosines[0] + 3 * cosines[1]) / 4, abs=1e-6)


def test_pca_is_that_of_the_covariance_and_never_of_what_it_projects():
    rows = RNG.normal(size=(40, 6)) @ np.diag([5, 4, 3, 2, 1, 0.5]) + 7.0
    others = RNG.normal(size=(9, 6)) + 100.0
    projection = fit_pca(rows, 3)
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    slow = (others - rows.mean(axis=0)) @ vectors[:, np.argsort(-values)[:3]]
    np.testing.assert_allclose(np.abs(projection(others)), np.abs(slow), rtol=1e-5)
    np.testing.assert_allclose(projection.axes.T @ projection.axes, np.eye(3), atol=1e-12)
    largest = np.abs(projection.axes).argmax(axis=0)
    assert (projection.axes[largest, range(3)] > 0).all()


@pytest.mark.parametrize(("shape", "width"), [((40, 6), 7), ((5, 6), 5)])
def test_pca_that_is_too_wide_is_refused(shape, width):
    with pytest.raises(ConfigurationError, match="too wide") as caught:
        fit_pca(RNG.normal(size=shape), width)
    assert caught.value.hint


def test_plan_measures_each_agent_on_its_panel_as_a_slow_encoder():
    panels, weights = ((0, 1), (0, 1, 2), (1, 2)), (1.0, 2.0, 0.5)
    plan = plan_of(panels, weights)
    found = plan.evaluate(Members(ask), [0, 1, 2])
    for agent, panel in enumerate(panels):
        slow = FunctionEncoder(
            lambda texts, panel=panel: np.array(
                [slow_joint(text, panel, weights) for text in texts], dtype=np.float32
            )
        )
        expected = {f"joint_{name}": value for name, value in plan.evaluator(slow).items()}
        assert found[agent][0] == pytest.approx(expected, abs=1e-9)
    assert len({values["joint_mrr"] for values, _ in found.values()}) == 3


def test_pca_of_a_panel_is_fitted_on_public_texts_alone():
    plan = plan_of(((0, 1, 2),) * 3, width=4)
    seen = []

    def watched(texts, agents):
        seen.append(list(texts))
        return ask(texts, agents)

    plan.evaluate(Members(watched), [0])
    assert seen[0] == list(plan.joint.public)
    rows = np.array([slow_joint(text, (0, 1, 2), plan.joint.weights) for text in plan.joint.public])
    encoder = plan.joint.encoder(
        (0, 1, 2), lambda texts: [r for r, _ in ask(texts, (0, 1, 2)).values()]
    )
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    slow = (
        np.array([slow_joint(t, (0, 1, 2), plan.joint.weights) for t in TEXTS]) - rows.mean(axis=0)
    ) @ (vectors[:, np.argsort(-values)[:4]])
    np.testing.assert_allclose(np.abs(encoder.embed(TEXTS)), np.abs(slow), atol=1e-5)


def test_each_text_is_asked_for_once_and_only_of_those_who_answer():
    asked = []

    def counting(texts, agents):
        asked.extend((text, agent) for text in texts for agent in agents)
        return ask(texts, agents)

    plan_of(((0, 1), (0, 1), (1, 2))).evaluate(Members(counting), [0, 1])
    assert len(asked) == len(set(asked))
    assert {agent for _, agent in asked} == {0, 1}


def test_cost_is_that_of_counting_by_hand():
    plan = plan_of(((0, 1), (0, 1, 2), (2,)), tasks=(KNN(k=1),))
    found = plan.evaluate(Members(ask), [0, 1, 2])
    size, tokens = sum(len(t.encode()) for t in TEXTS), sum(len(t.split()) for t in TEXTS)
    count = len(TEXTS)
    hand = {
        0: (1, size, count * 4 * 5, tokens * (1 + 2)),
        1: (2, 2 * size, count * 4 * (3 + 2), tokens * (1 + 2 + 3)),
        2: (0, 0, 0, tokens * 3),
    }
    names = ("joint_asked", "joint_query_bytes", "joint_answer_bytes", "joint_flops")
    for agent, values in hand.items():
        cost = found[agent][1]
        assert cost == {**dict(zip(names, values, strict=True)), "joint_texts": count}
    total = JointCost.of([cost for _, cost in found.values()])
    assert total is not None
    assert (total.agents, total.asked, total.texts) == (3, 1.0, count)
    assert total.total_bytes == 3 * size + count * 4 * 10
    assert total.bytes_per_text == pytest.approx(total.total_bytes / 3 / count)
    assert JointCost.of([{"loss": 1.0}]) is None


def test_tokens_of_votes_cost_as_those_of_embeddings_do():
    panels, tokens = ((0, 1), (0, 1, 2), (2,)), sum(len(t.split()) for t in TEXTS)
    for tasks, readings in (((OwnLabels(),), 1), ((OwnLabels(), KNN(k=1)), 2)):
        found = plan_of(panels, tasks=tasks).evaluate(Members(ask), [0, 1, 2])
        flops = {agent: cost["joint_flops"] for agent, (_, cost) in found.items()}
        assert flops == {agent: readings * tokens * n for agent, n in ((0, 3), (1, 6), (2, 3))}
    bytes_of_votes = found[1][1]["joint_answer_bytes"] - len(TEXTS) * 4 * (WIDTHS[0] + WIDTHS[2])
    assert bytes_of_votes == len(TEXTS) * 4 * 2 * 2  # two classes, of each of the two others


def test_equal_encoders_gain_nothing():
    alike = FunctionEncoder(lambda texts: np.array([embedding_of(1, t) for t in texts], np.float32))
    joint = JointEncoder(lambda texts: [alike.embed(texts)] * 3, (1.0, 2.0, 1.0))
    evaluator = plan_of(((0,),) * 3).evaluator
    assert evaluator(joint) == evaluator(alike)


def test_panels_are_everyone_the_neighbours_or_those_with_the_same_text():
    ring = {0: (1, 3), 1: (0, 2), 2: (1, 3), 3: (2, 0)}
    shards = [np.array([0, 1]), np.array([0, 1]), np.array([2]), np.array([2])]
    assert JointConfig().panels(3, ring.get) == ((0, 1, 2),) * 3
    neighbours = JointConfig(agents="neighbours")
    assert neighbours.panels(4, ring.get) == ((0, 1, 3), (0, 1, 2), (1, 2, 3), (0, 2, 3))
    copies = JointConfig(agents="copies")
    assert copies.panels(4, ring.get, shards) == ((0, 1), (0, 1), (2, 3), (2, 3))


def test_agents_without_weight_are_not_asked():
    panels = JointConfig(weights=(1, 0, 2)).panels(3, lambda agent: ())
    assert panels == ((0, 2),) * 3
    alone = JointConfig(agents="neighbours", weights=(1, 0, 2))
    with pytest.raises(ConfigurationError, match="agent 1") as caught:
        alone.panels(3, lambda agent: ())
    assert "weights" in str(caught.value.hint)


def test_joint_metrics_have_names_of_their_own_and_leave_language_models_out():
    names = [metric.name for metric in joint_metrics([cls() for cls in _without_files()])]
    assert all(name.startswith("joint_") for name in names)
    assert not any("perplexity" in name or "masked" in name for name in names)
    config = EvaluationConfig(tasks=["retrieval"], joint={}, center=False)
    assert [metric.name for metric in config.metrics] == [
        *(metric.name for metric in Retrieval.metrics),
        *(f"joint_{metric.name}" for metric in Retrieval.metrics),
    ]
    with pytest.raises(ValueError, match="joint embedding has no language-model head"):
        EvaluationConfig(tasks=["perplexity"], joint={})


def _without_files():
    return [cls for kind, cls in TASKS.items() if kind not in ("sts", "pair_classification")]


def test_weights_and_pca_that_do_not_fit_are_refused(small):
    for joint, message in (
        ({"weights": [1, 2]}, "2 numbers for 4 agents"),
        ({"pca": 40}, "more than 40 texts"),
    ):
        with pytest.raises(ValueError, match=message):
            small(evaluation={"tasks": ["retrieval"], "joint": joint})
