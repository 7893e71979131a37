"""Planning: from candidates to a schedule, by what each agent is good at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentos.rounds.clock.timing import Timing
from agentos.tasks.decomposition import Decomposition, Given, Shards, Undivided
from agentos.tasks.decomposition.part_heads import capable
from agentos.tasks.library import ModelCard
from agentos.tasks.planning.part_work import Worker
from agentos.tasks.planning.plan_of_task import Candidate, Planner
from agentos.tasks.scheduling import Heft
from agentos.tasks.selection import Largest
from agentos.tasks.selection import Linear as LinearSelection
from agents.answering import Examples
from agents.answering.adapt import Prototype
from protocols.errors import ConfigurationError
from protocols.seeding import generator

CLASSES = ("a0", "a1", "b0", "b1")
LABELS = np.arange(120) % 4


def candidate(name: str, knows: int | None, size: int = 1) -> Candidate:
    """An agent that knows the half of each text, and within one half the class."""
    rng = generator(0, "candidate", name)
    rows = rng.normal(size=(len(LABELS), 6))
    if knows is not None:
        rows[:, 0] += 5.0 * (LABELS >= 2)
        rows[:, 1] += 5.0 * (LABELS % 2) * (knows == LABELS // 2)
    card = ModelCard(
        name=name,
        path=name,
        architecture="bert",
        parameters=1000 * size,
        matrix_parameters=1000 * size,
        layers=1,
        state_width=6,
        width=6,
        context=32,
        origin=name,
    )
    lengths = generator(1, "lengths").integers(4, 20, size=50)
    return Candidate(Worker(card, lengths), Examples("fit", np.arange(len(LABELS)), rows))


FIRST, SECOND, NOISE = candidate("first", 0), candidate("second", 1), candidate("noise", None, 9)
TWO = Timing({0: 1e6, 1: 1e6}, {(0, 1): 0.001, (1, 0): 0.001}, work="flops")
TREE = Given(
    subtasks={
        "half": {"groups": {"a": ["a0", "a1"], "b": ["b0", "b1"]}},
        "a": {"refines": "a"},
        "b": {"refines": "b"},
    }
)


def planner(decompose: Decomposition, select=None) -> Planner:
    return Planner(select or LinearSelection(top=2), Prototype(), decompose, Heft())


def test_fit_models_are_chosen() -> None:
    models = [NOISE, SECOND, FIRST]
    chosen = planner(Undivided()).chosen(models, LABELS)
    assert {each.worker.card.name for each in chosen} == {"first", "second"}
    assert planner(Undivided(), Largest(top=1)).chosen(models, LABELS) == [NOISE]


def test_each_part_goes_to_the_agent_that_knows_it() -> None:
    plan, division = planner(TREE).plan([FIRST, SECOND], LABELS, CLASSES, TWO)
    where = dict(zip(plan.subtasks, (plan.agents[a] for a in plan.schedule.agents), strict=True))
    assert (where["a"], where["b"]) == ("first", "second")
    turned, _ = planner(TREE).plan([SECOND, FIRST], LABELS, CLASSES, TWO)
    again = dict(
        zip(turned.subtasks, (turned.agents[a] for a in turned.schedule.agents), strict=True)
    )
    assert (again["a"], again["b"]) == ("first", "second"), "by what it knows, not by its number"
    assert [part.name for part in division.parts] == ["half", "a", "b"]


def test_without_a_division_everyone_answers() -> None:
    plan, division = planner(Undivided()).plan([FIRST, SECOND], LABELS, CLASSES, TWO)
    assert plan.subtasks == ("assign", "first", "second", "join")
    assert plan.schedule.agents == (0, 0, 1, 0)
    assert len(division.parts) == 1


def test_shards_go_to_agents_that_are_about_as_good_as_the_best() -> None:
    twin = replace(FIRST, worker=candidate("twin", 0).worker)
    plan, division = planner(Shards()).plan([FIRST, twin], LABELS, CLASSES, TWO)
    assert len(division.parts) == 2
    assert set(plan.schedule.agents) == {0, 1}
    plan, _ = planner(Shards()).plan([FIRST, NOISE], LABELS, CLASSES, TWO)
    assert set(plan.schedule.agents) == {0}
    plan, _ = planner(Shards(slack=1.0)).plan([FIRST, NOISE], LABELS, CLASSES, TWO)
    assert set(plan.schedule.agents) == {0, 1}, "speed is all that counts then"


def test_shards_are_cut_by_what_a_token_costs_each_agent() -> None:
    big = candidate("big", 0, size=3)
    division = planner(Shards()).divided([FIRST, big], CLASSES, TWO)
    tokens = [int(FIRST.worker.lengths[part.rows].sum()) for part in division.parts]
    shares = np.array([1 / each.worker.card.flops_per_token for each in (FIRST, big)])
    wanted = shares / shares.sum() * sum(tokens)
    np.testing.assert_allclose(tokens, wanted, atol=20)


def test_agents_outside_the_slack_are_not_capable() -> None:
    _, division = planner(TREE).plan([FIRST, SECOND], LABELS, CLASSES, TWO)
    fitness = np.array([[0.9, 0.89], [0.5, 0.9], [0.9, 0.5]])
    found = capable(division, fitness, ["first", "second"], 0.02)
    assert found.tolist() == [[0.9, 0.89], [-1, 0.9], [0.9, -1]]
    named = replace(
        division, parts=(*division.parts[:2], replace(division.parts[2], agents=("second",)))
    )
    assert capable(named, fitness, ["first", "second"], 0.02)[2].tolist() == [0.9, 0.5]


@pytest.mark.parametrize(
    "timing", [Timing({0: 1.0}, work="flops"), Timing({0: 1.0, 1: 1.0}, work="tokens")]
)
def test_clocks_that_do_not_fit_are_refused(timing: Timing) -> None:
    with pytest.raises(ConfigurationError, match="does not fit the plan") as caught:
        planner(Undivided()).plan([FIRST, SECOND], LABELS, CLASSES, timing)
    assert caught.value.hint
