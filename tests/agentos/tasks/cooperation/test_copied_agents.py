"""Three copies of one bad agent in a society: they count once in every fusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from agentos.rounds.clock.timing import Timing
from agentos.tasks.cooperation import Embedded, Evidence, MasterSlave, Member, Panel, Setting
from agentos.tasks.cooperation.panel import Queries
from agentos.tasks.library import ModelCard
from agents.answering import FUSIONS, Answers, Examples, out_of_fold
from agents.answering.adapt import Prototype
from agents.exchange.anchors.label_fusion import LabelFusion
from protocols.topologies.master_slave import MasterSlave as Star

CLASSES, WIDTH, FIT, TEST = 4, 8, 120, 400
NOISE = (1.3, 1.3, 1.3, 1.3, 4.0)
"""Four fair agents and a bad one."""
BAD = len(NOISE) - 1


@dataclass(frozen=True)
class Made:
    """Labels, and what each agent embeds."""

    labels: np.ndarray
    rows: tuple[np.ndarray, ...]


@pytest.fixture(scope="module")
def made() -> Made:
    rng = np.random.default_rng(0)
    labels = np.arange(FIT + TEST) % CLASSES
    means = 0.9 * rng.normal(size=(CLASSES, WIDTH))
    rows = [means[labels] + noise * rng.normal(size=(FIT + TEST, WIDTH)) for noise in NOISE]
    return Made(labels, tuple(rows))


def accuracy(made: Made, fusion: LabelFusion, copies: int, known: bool) -> float:
    """The number of texts that a master with slaves answers rightly.

    Args:
        made: what agents embed.
        fusion: how it fuses.
        copies: how often the bad agent takes part.
        known: whether its copies bear the digest of their common origin.
    """
    agents = [*range(BAD), *[BAD] * copies]
    fit, labels = np.arange(FIT), made.labels
    members, evidence = [], []
    for place, agent in enumerate(agents):
        origin = f"{agent if known else place:032x}"
        card = ModelCard(
            name=f"model-{place}",
            path="/nowhere",
            architecture="bert",
            parameters=1000,
            matrix_parameters=1000,
            layers=1,
            state_width=8,
            width=WIDTH,
            context=16,
            origin=origin,
        )
        own = Examples("fit", fit, made.rows[agent][fit])
        head = Prototype().fit(own, labels[fit], CLASSES)
        found: Answers = out_of_fold(Prototype(), own, labels[fit], CLASSES, origin).answers
        members.append(Member(card, head, float(found.right(labels[fit]).mean()), 1.0))
        evidence.append(found)
    given = Evidence(tuple(evidence), labels[fit], (), labels[:0], fusion, 0)
    panel = Panel(
        *(tuple(members), CLASSES, 16),
        lambda agent, ids: Embedded(made.rows[agents[agent]][ids], np.full(len(ids), 8)),
    )
    network = Star().build(len(agents), 0)
    edges = [*network.edges, *((b, a) for a, b in network.edges)]
    timing = Timing(dict.fromkeys(range(len(agents)), 1e6), dict.fromkeys(edges, 0.1), work="flops")
    queries = Queries("test", np.arange(FIT, FIT + TEST))
    outcome = MasterSlave.fitted(given).answer(panel, queries, Setting(network, timing, "task"))
    return float(outcome.answers.right(labels[queries.ids]).mean())


@pytest.mark.parametrize("kind", FUSIONS)
def test_three_copies_of_a_bad_agent_cost_at_most_a_point(made: Made, kind: str) -> None:
    once = accuracy(made, FUSIONS[kind](), 1, known=True)
    assert once > 0.5
    assert accuracy(made, FUSIONS[kind](), 3, known=True) >= once - 0.01


def test_copies_that_are_not_known_as_such_cost_a_vote_more_than_a_point(made: Made) -> None:
    """The control: without digests, the test above would fail."""
    once = accuracy(made, FUSIONS["majority"](), 1, known=True)
    assert accuracy(made, FUSIONS["majority"](), 3, known=False) < once - 0.01
