"""Architectures against plain loops over texts, with what they cost, and with faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from agentos.rounds.faults.byzantine import Byzantine
from agentos.rounds.faults.drop import Drop
from agentos.rounds.faults.kill import Kill
from agentos.rounds.faults.stall import Stall
from agentos.tasks.cooperation import (
    NOT_ASKED,
    SILENT,
    Architecture,
    Cascade,
    MasterSlave,
    Panel,
    Peers,
    Queries,
    Setting,
    Single,
)
from agentos.tasks.cooperation.base import about, cross_fused
from agentos.tasks.cooperation.cascade import by_cost, levels_of
from agents.answering import fit_fusion
from agents.answering.defer import Confidence
from agents.answering.stacking import Stacking
from protocols.errors import HostLost
from protocols.topologies.layered import Layered

CALIBRATE, PARAMETERS = 60, (1_000, 2_000, 50_000)
"""As the panel of the fixture has them."""
MakeSetting = Callable[..., Setting]
WIRE = 1e-6
"""Probabilities travel as float32."""


def chain(bench: Any, setting: MakeSetting) -> Setting:
    made = setting("layered", topology={"branching": 1})
    return replace(made, network=by_cost(made.network, bench.panel))


def cascade(bench: Any, setting: MakeSetting, **fields: Any) -> tuple[Cascade, Setting]:
    made = chain(bench, setting)
    deferral = fields.pop("deferral", Confidence(budget=0.4))
    return Cascade.fitted(bench.evidence, levels_of(made.network), deferral), made


def plain_flops(bench: Any, agent: int) -> float:
    member = bench.panel.members[agent]
    return float((10 + agent) * member.card.flops(16) + member.head.flops)


def test_master_fuses_the_answers_of_all(bench: Any, setting: MakeSetting) -> None:
    outcome = MasterSlave.fitted(bench.evidence).answer(
        bench.panel, bench.queries("test"), setting("master_slave")
    )
    fusion = fit_fusion(Stacking(), bench.evidence.fit, bench.evidence.fit_labels)
    want = fusion.fuse([bench.answers(agent, "test") for agent in range(3)])
    assert np.allclose(outcome.answers.probabilities, want.probabilities, atol=WIRE)
    assert outcome.lost == ()
    spent = sum(plain_flops(bench, agent) for agent in range(3)) + fusion.flops
    assert outcome.flops == pytest.approx(np.full(80, spent))
    kinds = outcome.ledger.by_kind()
    assert set(kinds) == {"announcement", "bid", "assignment", "answer"}
    assert outcome.payload_bytes.sum() == pytest.approx(outcome.ledger.total())


def test_slave_below_the_floor_gets_no_query(bench: Any, setting: MakeSetting) -> None:
    accuracies = [member.accuracy for member in bench.panel.members]
    floor = sorted(accuracies[1:])[0] + 1e-9
    outcome = MasterSlave.fitted(bench.evidence, floor).answer(
        bench.panel, bench.queries("test"), setting("master_slave")
    )
    worst = 1 + int(np.argmin(accuracies[1:]))
    assert (outcome.said[:, worst] == NOT_ASKED).all()
    assert (np.delete(outcome.said, worst, axis=1) >= 0).all()


@pytest.mark.parametrize("kind", ["complete", "ring", "line"])
def test_peers_decide_as_if_each_had_every_answer_to_what_is_disputed(
    bench: Any, setting: MakeSetting, kind: str
) -> None:
    made = setting("complete") if kind == "complete" else path_of_three(setting)
    outcome = Peers.fitted(bench.evidence).answer(bench.panel, bench.queries("test"), made)
    fusion = fit_fusion(Stacking(), bench.evidence.fit, bench.evidence.fit_labels)
    each = [bench.answers(agent, "test") for agent in range(3)]
    want = fusion.fuse(each)
    said = np.stack([a.probabilities.argmax(axis=1) for a in each])
    disputed = (said != said[0]).any(axis=0)
    assert 0 < disputed.sum() < len(disputed)
    found = outcome.answers.probabilities
    assert np.allclose(found[disputed], want.probabilities[disputed], atol=WIRE)
    decided = found.argmax(axis=1)
    assert (decided[~disputed] == said[0][~disputed]).all()


def path_of_three(setting: MakeSetting) -> Setting:
    """Two of the three peers reach each other only through the asked one's neighbour."""
    return setting("layered", topology={"branching": 1})


def test_cascade_equals_a_loop_over_texts(bench: Any, setting: MakeSetting) -> None:
    built, made = cascade(bench, setting)
    queries = bench.queries("test")
    outcome = built.answer(bench.panel, queries, made)
    order = [level[0] for level in built.levels]
    assert [PARAMETERS[agent] for agent in order] == sorted(PARAMETERS)
    for row, id in enumerate(queries.ids):
        one = np.array([id])
        held, flops = [], 0.0
        for level, agent in enumerate(order):
            held.append(about(bench.answers(agent, "test"), one))
            fused = built.fusions[level].fuse(held)
            flops += plain_flops(bench, agent) + built.fusions[level].flops
            if level == len(order) - 1:
                break
            flops += built.rules[level].flops
            if not built.rules[level].defers(fused)[0]:
                break
        assert np.allclose(outcome.answers.probabilities[row], fused.probabilities[0], atol=1e-5)
        assert outcome.flops[row] == pytest.approx(flops)
        assert (outcome.said[row, order[level + 1 :]] == NOT_ASKED).all()
        assert (outcome.said[row, order[: level + 1]] >= 0).all()
    rows = outcome.ledger.rows()
    sent = zip(rows["kind"], rows["sender"], rows["receiver"], strict=True)
    passed_on = {(sender, receiver) for kind, sender, receiver in sent if kind == "escalation"}
    assert passed_on == set(pairwise(order))


@pytest.mark.parametrize("way", ["single", "master_slave", "complete", "layered"])
def test_no_agent_that_is_asked_is_forgotten_in_the_flops(
    bench: Any, setting: MakeSetting, way: str
) -> None:
    """A query costs what its agents cost, and little more: fusion and deferral."""
    layers, made = cascade(bench, setting)
    architectures: dict[str, Architecture] = {
        "single": Single(),
        "master_slave": MasterSlave.fitted(bench.evidence),
        "complete": Peers.fitted(bench.evidence),
        "layered": layers,
    }
    where = made if way == "layered" else setting("complete" if way == "single" else way)
    outcome = architectures[way].answer(bench.panel, bench.queries("test"), where)
    asked = outcome.said != NOT_ASKED
    agents = asked @ np.array([plain_flops(bench, agent) for agent in range(3)])
    further = outcome.flops - agents
    if way == "single":
        assert (asked.sum(axis=1) == 1).all()
        np.testing.assert_allclose(further, 0.0, atol=1e-6)
    else:
        assert (
            further
            >= fit_fusion(Stacking(), bench.evidence.fit[:1], bench.evidence.fit_labels).flops
        ).all()
        assert (further < 0.01 * agents).all()


def test_level_passes_on_no_more_than_its_budget(bench: Any, setting: MakeSetting) -> None:
    for budget in (0.0, 0.25, 1.0):
        built, made = cascade(bench, setting, deferral=Confidence(budget=budget))
        outcome = built.answer(bench.panel, bench.queries("calibrate"), made)
        asked = (outcome.said != NOT_ASKED).sum(axis=0)
        first, second, third = (asked[level[0]] for level in built.levels)
        assert first == CALIBRATE
        assert second == np.floor(budget * first)
        assert third <= budget * second


def test_fused_evidence_never_sees_its_own_labels(bench: Any) -> None:
    evidence = bench.evidence
    fused = cross_fused(Stacking(), evidence.fit, evidence.fit_labels, seed=0)
    changed = evidence.fit_labels.copy()
    changed[7] = (changed[7] + 1) % 3
    other = cross_fused(Stacking(), evidence.fit, changed, seed=0)
    # The fold of a text depends on its label, so only a text in the same fold of both can be compared: its
    # own label must not have made its answer more certain of it.
    own = fit_fusion(Stacking(), evidence.fit, evidence.fit_labels).fuse(evidence.fit)
    truth = np.arange(len(changed)), evidence.fit_labels
    assert np.log(own.probabilities[truth]).mean() > np.log(fused.probabilities[truth]).mean()
    assert other.probabilities.shape == fused.probabilities.shape


def test_order_of_agents_changes_no_answer(bench: Any, setting: MakeSetting) -> None:
    order = [0, 2, 1]
    panel = bench.panel
    shuffled = Panel(
        tuple(panel.members[agent] for agent in order),
        panel.classes,
        panel.length,
        lambda agent, ids: panel.embed(order[agent], ids),
    )
    evidence = replace(
        bench.evidence,
        fit=tuple(bench.evidence.fit[agent] for agent in order),
        calibrate=tuple(bench.evidence.calibrate[agent] for agent in order),
    )
    for family, kind in ((MasterSlave, "master_slave"), (Peers, "complete")):
        first = family.fitted(bench.evidence).answer(panel, bench.queries("test"), setting(kind))
        second = family.fitted(evidence).answer(shuffled, bench.queries("test"), setting(kind))
        assert np.allclose(first.answers.probabilities, second.answers.probabilities, atol=1e-5)
    outcomes = []
    for agents, found in ((panel, bench.evidence), (shuffled, evidence)):
        made = setting("layered", topology={"branching": 1})
        made = replace(made, network=by_cost(made.network, agents))
        layers = Cascade.fitted(found, levels_of(made.network), Confidence(budget=0.4))
        outcomes.append(layers.answer(agents, bench.queries("test"), made))
    by_place, moved = outcomes
    np.testing.assert_array_equal(moved.said, by_place.said[:, order])
    np.testing.assert_allclose(moved.flops, by_place.flops)
    assert np.allclose(moved.answers.probabilities, by_place.answers.probabilities, atol=1e-5)


def test_agents_that_are_gone_are_done_without(bench: Any, setting: MakeSetting) -> None:
    kill = Kill(agent=1, rounds=(1, 1))
    queries = bench.queries("test")
    fusion = fit_fusion(Stacking(), bench.evidence.fit, bench.evidence.fit_labels)
    want = fusion.fuse([bench.answers(agent, "test") for agent in (0, 2)])
    for architecture, made in (
        (MasterSlave.fitted(bench.evidence), setting("master_slave", faults=(kill,))),
        (Peers.fitted(bench.evidence), setting("complete", faults=(kill,))),
    ):
        outcome = architecture.answer(bench.panel, queries, made)
        assert (outcome.said[:, 1] == SILENT).all()
        assert any("agent 1" in line for line in outcome.lost)
        if isinstance(architecture, MasterSlave):
            assert np.allclose(outcome.answers.probabilities, want.probabilities, atol=WIRE)
    built, made = cascade(bench, setting)
    lowest = built.levels[0][0]
    gone = replace(made, faults=(Kill(agent=lowest, rounds=(1, 1)),))
    outcome = built.answer(bench.panel, queries, gone)
    assert (outcome.said[:, built.levels[1][0]] >= 0).all()
    assert outcome.answers.right(bench.labels[queries.ids]).mean() > 0.5


@pytest.mark.parametrize(
    "fault",
    [
        Stall(agents=(1,), seconds=100.0),
        Drop(senders=(1,)),
    ],
)
def test_messages_that_do_not_arrive_in_time_are_done_without(
    bench: Any, setting: MakeSetting, fault: Any
) -> None:
    outcome = MasterSlave.fitted(bench.evidence).answer(
        bench.panel, bench.queries("test"), setting("master_slave", faults=(fault,))
    )
    assert any("agent 1" in line for line in outcome.lost)
    assert (outcome.said[:, 1] == NOT_ASKED).all()  # its bid never came
    assert (outcome.said[:, [0, 2]] >= 0).all()


def test_liar_is_admitted_or_rejected_and_never_ends_the_work(
    bench: Any, setting: MakeSetting
) -> None:
    for mode in ("noise", "sign_flip", "scale"):
        lie = Byzantine(agents=(1,), mode=mode, factor=3.0)
        outcome = MasterSlave.fitted(bench.evidence).answer(
            bench.panel, bench.queries("test"), setting("master_slave", faults=(lie,))
        )
        assert np.allclose(outcome.answers.probabilities.sum(axis=1), 1.0)


def test_single_agent_that_is_gone_is_told(bench: Any, setting: MakeSetting) -> None:
    made = setting("complete", faults=(Kill(agent=0, rounds=(1, 1)),))
    with pytest.raises(HostLost, match="alone"):
        Single().answer(bench.panel, bench.queries("test"), made)


def test_simulated_time_is_that_of_the_longest_way(bench: Any, setting: MakeSetting) -> None:
    queries = Queries("test", bench.queries("test").ids[:10])
    outcome = MasterSlave.fitted(bench.evidence).answer(
        bench.panel, queries, setting("master_slave")
    )
    rows = outcome.ledger.rows()
    ways = []
    for agent in (1, 2):
        sent = [
            size
            for size, sender, receiver in zip(
                rows["payload_bytes"], rows["sender"], rows["receiver"], strict=True
            )
            if agent in (sender, receiver)
        ]
        assert len(sent) == 4  # announcement, bid, assignment, answer
        ways.append(4 * 0.25 + sum(sent) / 1e4 + 10 * plain_flops(bench, agent) / 1e6)
    own = 10 * plain_flops(bench, 0) / 1e6
    fusing = 10 * fit_fusion(Stacking(), bench.evidence.fit, bench.evidence.fit_labels).flops / 1e6
    # The master answers while the others do.
    assert outcome.simulated_s == pytest.approx(max(*ways, own) + fusing)


def test_layers_put_the_dearest_agent_at_the_root() -> None:
    network = Layered(branching=2).build(3, 0)
    assert network.levels == (0, 1, 1)
