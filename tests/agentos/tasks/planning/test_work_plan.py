"""Plans of tasks against times, FLOPs and bytes that are added up by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.rounds.clock.timing import Timing
from agentos.tasks.decomposition import Division, Part
from agentos.tasks.library import ModelCard
from agentos.tasks.planning.part_work import (
    PartWork,
    Worker,
    answer_bytes,
    assignment_bytes,
    bidding_bytes,
)
from agentos.tasks.planning.work_plan import Rules, WorkPlan, everyone_answers, plan_work
from agentos.tasks.scheduling import Greedy, Heft
from agents.answering import Answers
from protocols.errors import ConfigurationError
from protocols.messages import Assignment, Message
from protocols.wire.serialize import encode

TEXTS = 40


def worker(name: str, width: int) -> Worker:
    card = ModelCard(
        name=name,
        path=name,
        architecture="bert",
        parameters=2000 * width,
        matrix_parameters=1000 * width,
        layers=2,
        state_width=width,
        width=width,
        context=64,
        origin=name,
    )
    return Worker(card, 5 + np.arange(TEXTS) % 7)


WORKERS = (worker("small", 8), worker("large", 32), worker("middle", 16))
SPEEDS = {0: 2e6, 1: 9e6, 2: 4e6}
CLASSES = 4
FLAT = tuple((each,) for each in range(CLASSES))
TREE = Division(
    CLASSES,
    (Part("root", ((0, 1), (2, 3))), Part("low", ((0,), (1,))), Part("high", ((2,), (3,)))),
)


def star(speeds=SPEEDS) -> Timing:
    """Agent 0 is the master; others are joined to it alone."""
    edges = [(0, 1), (1, 0), (0, 2), (2, 0)]
    latency = {edge: 0.01 * (1 + number) for number, edge in enumerate(edges)}
    return Timing(speeds, latency, dict.fromkeys(edges, 5e4))


def planned(parts, **more) -> WorkPlan:
    return plan_work(parts, WORKERS, star(), Rules(Heft(), **more))


def bids() -> tuple[list[int], list[int]]:
    """Bytes of announcements and of bids, by agent."""
    work = PartWork(tuple(everyone_answers(CLASSES, WORKERS)), WORKERS)
    return tuple(zip(*(bidding_bytes(work, agent) for agent in range(3)), strict=True))


def head(width: int, groups: int, texts: int = TEXTS) -> float:
    return texts * (2 * width * groups + 3 * width + 5 * groups)


def embedding(width: int, rows=slice(None)) -> float:
    lengths = (5 + np.arange(TEXTS) % 7)[rows]
    return (2 * 1000 * width + 4 * 2 * width * lengths.max()) * lengths.sum()


def test_everyone_answers_in_the_time_of_the_slowest_and_is_counted() -> None:
    found = planned(everyone_answers(CLASSES, WORKERS))
    timing = star()
    calls, offers = bids()
    bidding = max(
        timing.transit_s(0, agent, calls[agent]) + timing.transit_s(agent, 0, offers[agent])
        for agent in (1, 2)
    )
    asked, said = assignment_bytes(TEXTS), answer_bytes(TEXTS, CLASSES)
    ends = []
    for agent, width in enumerate((8, 32, 16)):
        works = embedding(width) + head(width, CLASSES)
        transit = (
            timing.transit_s(0, agent, asked) + timing.transit_s(agent, 0, said) if agent else 0
        )
        ends.append(transit + works / SPEEDS[agent])
        joining = 3 * 2 * TEXTS * CLASSES if agent == 0 else 0
        assert found.flops[agent] == pytest.approx(works + joining)
    joined = max(ends) + 3 * 2 * TEXTS * CLASSES / SPEEDS[0]
    assert found.makespan_s == pytest.approx(bidding + joined)
    assert found.schedule.placements[0].start_s == pytest.approx(bidding)
    assert found.sent_bytes.tolist() == [2 * asked + sum(calls), said + offers[1], said + offers[2]]
    assert found.agents == ("small", "large", "middle")
    assert found.subtasks == ("assign", "small", "large", "middle", "join")


def test_sizes_of_messages_are_those_on_the_wire() -> None:
    """A header tells FLOPs and seconds in digits, and there may be some more of them."""
    rows = np.full((TEXTS, CLASSES), 0.25)
    no = np.zeros(TEXTS, bool)
    answers = Answers("query", np.arange(TEXTS), rows, no, no, ("a" * 32,))
    sent = encode(Message.compose(answers.payload("task", 0, 0.0, 0.0), sender=1, round=1, hop=0))
    assert sent.nbytes == answer_bytes(TEXTS, CLASSES)
    work = Assignment(task="task", attempt=0, ids=np.arange(TEXTS), start_s=0.0, deadline_s=1.0)
    assert encode(Message.compose(work, sender=0, round=1, hop=0)).nbytes == assignment_bytes(TEXTS)


def test_agent_with_several_parts_embeds_the_texts_once() -> None:
    alone = plan_work(TREE, WORKERS[1:2], Timing({0: 9e6}), Rules(Heft()))
    heads = 3 * head(32, 2)
    joining = 3 * 2 * TEXTS * 2
    assert alone.flops[0] == pytest.approx(embedding(32) + heads + joining)
    assert alone.makespan_s == pytest.approx((embedding(32) + heads + joining) / 9e6)
    assert alone.sent_bytes.tolist() == [0]


def test_agents_below_the_floor_get_nothing() -> None:
    parts = [Part("all", FLAT, floor=0.6)]
    fitness = np.array([[0.5, 0.55, 0.7]])
    found = planned(parts, fitness=fitness)
    assert found.schedule.agents == (0, 2, 0)
    named = planned([Part("all", FLAT, agents=("small",))])
    assert named.schedule.agents == (0, 0, 0)
    calls, offers = bids()
    assert named.sent_bytes.tolist() == [sum(calls), offers[1], offers[2]], "bids alone are sent"


def test_fitness_belongs_to_the_parts_by_their_place_in_the_division() -> None:
    """The division puts a part that is read before its reader; fitness comes in the order as given."""
    chain = Division(
        CLASSES,
        (Part("last", FLAT, reads=("hint",), floor=0.5), Part("hint", ((0, 1), (2, 3)), floor=0.5)),
    )
    found = planned(chain, fitness=np.array([[0.9, 0.0, 0.0], [0.0, 0.0, 0.9]]))
    where = dict(zip(found.subtasks, found.schedule.agents, strict=True))
    assert (where["last"], where["hint"]) == (0, 2)
    to_join = answer_bytes(TEXTS, 2)
    assert found.sent_bytes[2] == to_join + bids()[1][2], "its reader is the master, which joins"


def test_shards_cost_each_agent_its_own_texts() -> None:
    shards = Division(
        CLASSES,
        (Part("x", FLAT, rows=np.arange(30)), Part("y", FLAT, rows=np.arange(30, TEXTS))),
    )
    found = planned(shards)
    agents = dict(zip(found.subtasks, found.schedule.agents, strict=True))
    assert agents["x"] != agents["y"]
    width = (8, 32, 16)[agents["x"]]
    joining = 2 * TEXTS * CLASSES if agents["x"] == 0 else 0
    works = embedding(width, slice(30)) + head(width, CLASSES, 30)
    assert found.flops[agents["x"]] == pytest.approx(works + joining)


def test_bytes_of_relayed_messages_count_for_every_agent_that_sends_them() -> None:
    line = Timing(
        SPEEDS, dict.fromkeys([(0, 1), (1, 0), (1, 2), (2, 1)], 0.01), {}
    )  # no link from 0 to 2
    found = plan_work([Part("all", FLAT, agents=("middle",))], WORKERS, line, Rules(Greedy()))
    asked, said = assignment_bytes(TEXTS), answer_bytes(TEXTS, CLASSES)
    (_, *calls), (_, *offers) = bids()
    passed_on = calls[1] + sum(offers)
    wanted = [asked + sum(calls), asked + said + passed_on, said + offers[1]]
    assert found.sent_bytes.tolist() == wanted


def test_unknown_agents_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="was not selected") as caught:
        planned([Part("all", FLAT, agents=("big",))])
    assert caught.value.hint


def test_plan_is_told_as_json() -> None:
    found = planned(TREE).as_json()
    assert found["makespan_s"] == max(each["end_s"] for each in found["subtasks"])
    assert {each["agent"] for each in found["subtasks"]} <= {"small", "large", "middle"}
