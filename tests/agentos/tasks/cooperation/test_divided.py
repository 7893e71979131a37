"""Divided tasks: answers as they are joined by hand, the predicted clock, and parts that are taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentos.rounds.faults import Fault
from agentos.rounds.faults.byzantine import Byzantine
from agentos.rounds.faults.churn import Churn
from agentos.rounds.faults.corrupt import Corrupt
from agentos.rounds.faults.drop import Drop
from agentos.rounds.faults.kill import Kill
from agentos.rounds.faults.policies import PolicyConfig
from agentos.rounds.faults.stall import Stall
from agentos.tasks.cooperation import Divided, Outcome, Setting
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.decomposition import Decomposition, Division, Given, Part, Shards
from agentos.tasks.decomposition.part_heads import capable, fit_parts, fitness
from agentos.tasks.planning.part_work import Worker
from agentos.tasks.planning.work_plan import Rules, plan_work
from agentos.tasks.scheduling import Heft
from agentos.tasks.scheduling.message_faults import Script
from agentos.tasks.scheduling.under_faults import Aftermath, carry_out
from agents.answering import Examples
from agents.answering.adapt import Prototype
from protocols.errors import HostLost

MakeSetting = Callable[..., Setting]
SPEEDS = {0: 2e5, 1: 2e6, 2: 5e7}
"""All agents take some seconds for the texts, so that each gets a part."""
HEFT = Heft(improvements=20)
FLAT = ((0,), (1,), (2,))
PARTS = {
    "tree": (Part("half", ((0,), (1, 2))), Part("rest", ((1,), (2,)))),
    "reads": (Part("half", ((0,), (1, 2))), Part("all", FLAT, reads=("half",))),
    "shards": (Part("all", FLAT),),
}
ORIGINS = [f"{agent:032x}" for agent in range(3)]


def kind(name: str) -> Decomposition:
    """The specification: everybody is good enough for every part."""
    if name == "shards":
        return Shards(slack=1.0)
    return Given(slack=1.0, subtasks={"unused": {}})


@pytest.fixture
def star(setting: MakeSetting) -> MakeSetting:
    """A master with two slaves of unlike speeds."""

    def make(*faults: Fault) -> Setting:
        made = setting("master_slave", faults=faults)
        return replace(made, timing=replace(made.timing, speeds=SPEEDS))

    return make


def examples(bench: Any, split: str) -> list[Examples]:
    ids = bench.queries(split).ids
    return [Examples(split, ids, rows[ids]) for rows in bench.rows]  # type: ignore[arg-type]


def divided(bench: Any, name: str) -> Divided:
    """A division whose parts every agent can do; the last agent gets them in the first place."""
    division = Division(3, PARTS[name])
    fit, labels = examples(bench, "fit"), bench.labels[bench.queries("fit").ids]
    every = {part.name: range(3) for part in division.parts}
    first = dict.fromkeys(every, 2)
    fitted = fit_parts(division, first, Prototype(), fit, labels, ORIGINS, spare=every)
    return Divided(fitted, fitness(division, Prototype(), fit, labels).accuracy, kind(name), HEFT)


def predicted(bench: Any, made: Divided, setting: Setting) -> float:
    """The makespan of the plan, from tokens and cards alone."""
    ids = bench.queries("test").ids
    workers = [
        Worker(member.card, np.full(len(ids), 10 + agent), 16, 6, len(member.head.seen))
        for agent, member in enumerate(bench.panel.members)
    ]
    speeds = tuple(
        SPEEDS[agent] / worker.card.flops_per_token for agent, worker in enumerate(workers)
    )
    lengths = workers[0].lengths.astype(np.float64)
    division = made.decompose.for_texts(made.fitted.division, lengths, speeds)
    rows = (
        made.fitness if len(made.fitness) > 1 else np.tile(made.fitness, (len(division.parts), 1))
    )
    able = capable(division, rows, [worker.card.name for worker in workers], made.decompose.slack)
    rules = Rules(HEFT, able, rows, setting.seed)
    plan = plan_work(division, workers, setting.timing, rules)
    talk = answered(bench, made, setting)
    sent = np.zeros(3, int)
    for edge, size in talk.ledger.by_edge().items():
        sent[edge[0]] += size
    assert sent.tolist() == plan.sent_bytes.tolist()
    return plan.makespan_s


def aftermath(bench: Any, made: Divided, setting: Setting) -> tuple[float, Aftermath]:
    """The seconds of the bidding, and what becomes of the plan, without a message."""
    talk = Conversation(bench.panel, bench.queries("test"), setting)
    planned = made.planned(talk, 0, {0, 1, 2})
    script = Script(setting.faults, PolicyConfig(deadline_s=setting.deadline_s), setting.seed)
    after = carry_out(planned.workload, planned.schedule, HEFT, script, planned.lasting)
    return planned.bidding_s, after


def answered(bench: Any, made: Divided, setting: Setting) -> Outcome:
    return made.answer(bench.panel, bench.queries("test"), setting)


@pytest.mark.parametrize("name", PARTS)
def test_predicted_makespan_and_bytes_are_the_measured_ones(
    bench: Any, star: MakeSetting, name: str
) -> None:
    made, quiet = divided(bench, name), star()
    outcome = answered(bench, made, quiet)
    assert outcome.lost == ()
    assert outcome.simulated_s == pytest.approx(predicted(bench, made, quiet), rel=1e-12)


SCRIPTS: dict[str, tuple[Fault, ...]] = {
    "dies": (Kill(agent=1, rounds=(1, 1)),),
    "dies later": (Kill(agent=1, phase="merge", rounds=(1, 1)),),
    "is away": (Churn(agents=(2,)),),
    "lies": (Byzantine(agents=(1,)),),
    "is late": (Stall(agents=(1,), seconds=3.0),),
    "dies, then another lies": (Kill(agent=1, rounds=(1, 1)), Byzantine(agents=(2,))),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", PARTS)
def test_predicted_makespan_is_the_measured_one_under_a_fault_script(
    bench: Any, star: MakeSetting, name: str, script: str
) -> None:
    made = divided(bench, name)
    faulty = star(*SCRIPTS[script])
    outcome = answered(bench, made, faulty)
    bidding_s, after = aftermath(bench, made, faulty)
    assert outcome.simulated_s == pytest.approx(bidding_s + after.schedule.makespan_s, rel=1e-12)
    if name == "shards":  # in which every agent has work
        assert bool(after.losses) is (script != "is late")
    lost = {ORIGINS[loss.agent] for loss in after.losses}
    assert not lost & set(outcome.answers.origins)
    assert len(outcome.answers.probabilities) == len(bench.queries("test").ids)


@pytest.mark.parametrize("name", PARTS)
def test_predicted_makespan_is_the_measured_one_where_answers_arrive_damaged(
    bench: Any, star: MakeSetting, name: str
) -> None:
    made = divided(bench, name)
    struck = 0
    for seed in range(12):
        faulty = replace(star(Corrupt(senders=(1, 2), bits=4000, share=0.5)), seed=seed)
        outcome = answered(bench, made, faulty)
        refused = [
            each for each in outcome.lost if each.startswith("answer") and "rejected" in each
        ]
        if any(each.startswith("bid") for each in outcome.lost):
            continue  # these do not bid, and so get no part
        bidding_s, after = aftermath(bench, made, faulty)
        makespan_s = bidding_s + after.schedule.makespan_s
        assert outcome.simulated_s == pytest.approx(makespan_s, rel=1e-12)
        assert len(after.losses) == len(refused)
        struck += bool(refused)
    assert struck >= 1


@pytest.mark.parametrize("name", PARTS)
def test_answers_are_those_that_heads_give_without_messages(
    bench: Any, star: MakeSetting, name: str
) -> None:
    made = divided(bench, name)
    outcome = answered(bench, made, star())
    _, after = aftermath(bench, made, star())
    talk = Conversation(bench.panel, bench.queries("test"), star())
    parts = made.planned(talk, 0, {0, 1, 2}).work.parts
    found: dict[str, np.ndarray] = {}
    for place, part in enumerate(parts, start=1):
        agent = after.schedule.agents[place]
        own = examples(bench, "test")[agent]
        rows = slice(None) if part.rows is None else part.rows
        some = Examples("test", own.ids[rows], own.embeddings[rows])
        found[part.name] = made.fitted.answer_part(part, agent, some, found).probabilities
    expected = Division(3, parts).join(found)
    np.testing.assert_allclose(outcome.answers.probabilities, expected, atol=1e-6)
    assert outcome.answers.right(bench.labels[outcome.answers.ids]).mean() > 0.6


def test_texts_are_embedded_once_by_an_agent_with_several_parts(
    bench: Any, star: MakeSetting
) -> None:
    made = divided(bench, "tree")
    outcome = answered(bench, made, star())
    agents = set(aftermath(bench, made, star())[1].schedule.agents[1:3])
    embedding = sum((10 + a) * bench.panel.members[a].card.flops(16) for a in agents)
    heads = 2 * (2 * 6 * 2 + 3 * 6 + 5 * 2)
    joining = 2 * 2 * 2
    np.testing.assert_allclose(outcome.flops, embedding + heads + joining)


def test_agents_that_are_struck_lose_their_parts_and_all_texts_are_answered(
    bench: Any, star: MakeSetting
) -> None:
    made, quiet = divided(bench, "shards"), star()
    assert set(aftermath(bench, made, quiet)[1].schedule.agents) == {0, 1, 2}
    calm = answered(bench, made, quiet).simulated_s
    faulty = star(*SCRIPTS["lies"])
    outcome = answered(bench, made, faulty)
    assert any("rejected" in each for each in outcome.lost)
    assert outcome.simulated_s > calm
    assert outcome.flops.sum() > answered(bench, made, quiet).flops.sum(), "lies cost FLOPs, too"


@pytest.mark.parametrize(
    "fault",
    [
        Drop(senders=(1,)),
        Drop(receivers=(2,)),
        Drop(share=0.3),
        Corrupt(bits=4000),
        Stall(agents=(1,), seconds=100.0),
        Kill(agent=0, rounds=(1, 1)),
    ],
    ids=lambda fault: f"{fault.kind} {fault.named()}",
)
@pytest.mark.parametrize("name", PARTS)
def test_answers_arrive_whatever_is_struck(
    bench: Any, star: MakeSetting, name: str, fault: Fault
) -> None:
    outcome = answered(bench, divided(bench, name), star(fault))
    sums = outcome.answers.probabilities.sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, atol=1e-5)
    if fault.kind == "kill":
        assert ORIGINS[0] not in outcome.answers.origins
        assert outcome.simulated_s > 0


def test_society_without_a_living_agent_is_refused(bench: Any, star: MakeSetting) -> None:
    gone = star(Churn(agents=(0, 1, 2)))
    with pytest.raises(HostLost, match="no agent is left"):
        answered(bench, divided(bench, "tree"), gone)
