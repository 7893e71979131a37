"""Layers: cheap agents answer what they can, and leave the rest to dearer ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agentos.tasks.cooperation.base import Architecture, Evidence, about, cross_fused, part
from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Panel
from agents.answering import (
    Answers,
    Deferral,
    DeferralRule,
    FittedFusion,
    calibrate,
    fit_deferral,
    fit_fusion,
)
from agents.answering.answers import Labels
from protocols.errors import HostLost
from protocols.messages import Escalation, Verdict
from protocols.topologies import Network
from protocols.topologies.layered import TreeNetwork

Levels = tuple[tuple[int, ...], ...]
"""Agents of each level, the lowest first; the first agent of a level decides for it."""


@dataclass(frozen=True)
class Cascade(Architecture):
    """A cascade over the levels of a tree.

    The agents of the lowest level answer everything. The first of them fuses the answers and passes on those
    that a deferral rule picks; the next level answers these, and so on. A level sees all answers from below.

    Attributes:
        levels: agents of each level.
        fusions: for each level, the fusion of its agents and all below.
        rules: for each level but the last, which queries are passed on.
    """

    levels: Levels
    fusions: tuple[FittedFusion, ...]
    rules: tuple[DeferralRule, ...]

    @classmethod
    def fitted(cls, evidence: Evidence, levels: Levels, deferral: Deferral) -> Cascade:
        """Fit fusions and deferrals on ``fit``, and thresholds on ``calibrate``.

        Args:
            evidence: the answers.
            levels: agents of each level.
            deferral: scores what is passed on, and bounds it.
        """
        fusion, labels, seed = evidence.fusion, evidence.fit_labels, evidence.seed
        below = [_up_to(levels, level) for level in range(len(levels))]
        fusions = [
            fit_fusion(fusion, [evidence.fit[a] for a in agents], labels) for agents in below
        ]
        fused = [
            cross_fused(fusion, [evidence.fit[a] for a in agents], labels, seed) for agents in below
        ]
        rules: list[DeferralRule] = []
        left = np.arange(len(evidence.calibrate_labels))
        for level, (this, following) in enumerate(pairwise(fused)):
            answers = fusions[level].fuse([evidence.calibrate[a] for a in below[level]])
            arrived = part(answers, left)
            scorer = fit_deferral(deferral, this, following, labels, seed)
            rule = calibrate(scorer, arrived, evidence.calibrate_labels[left], deferral.budget)
            rules.append(rule)
            passed = left[rule.defers(arrived)]
            left = (
                passed if len(passed) else left
            )  # a level that gets nothing is calibrated all the same
        return cls(levels, tuple(fusions), tuple(rules))

    def asked_first(self, panel: Panel) -> tuple[int, ...]:
        """Return the agents of the lowest level: the others are asked about what is passed on."""
        return self.levels[0]

    def converse(self, talk: Conversation) -> Answers:
        """Answer level by level."""
        left = talk.queries.ids
        held: dict[int, Answers] = {}
        decided: list[Answers] = []
        gate, waits = self.levels[0][0], dict[str, int]()
        for level, agents in enumerate(self.levels):
            talk.begin_hop()
            gate = agents[0]
            held |= self._answers(talk, agents, left, waits)
            present = [about(each, left) for each in held.values()]
            last = level + 1 == len(self.levels)
            if not present and last:
                raise HostLost("no agent is left to answer", hint="see the fault script")
            if not present:
                continue  # all of the level is gone: everything goes up
            name = f"decision {level}"
            fusion = self.fusions[level]
            talk.think(gate, name, left, fusion.flops, [f"arrival from {a}" for a in agents])
            fused = fusion.fuse(present)
            passes = np.zeros(len(left), bool)
            if not last:
                passes = self.rules[level].defers(fused)
                talk.flops[talk.rows(left)] += self.rules[level].flops
            decided.append(part(fused, np.flatnonzero(~passes)))
            if not passes.any():
                break
            up = left[passes]
            held = {agent: about(each, up) for agent, each in held.items()}
            waits = self._escalate(talk, level, up, held, name)
            left = up
        self._report(talk, decided, gate)
        return _in_order(decided, talk.queries.ids)

    def _answers(
        self, talk: Conversation, agents: Sequence[int], ids: Labels, waits: dict[str, int]
    ) -> dict[int, Answers]:
        """Return the answers of a level's agents, as they reached the first of them."""
        found = {}
        for agent in agents:
            answers: Answers | None = talk.ask(agent, ids, waits)
            size = 0
            if answers is not None and agent != agents[0]:
                answers, size = talk.send_answers(answers, agent, agents[0], 0.0)
            talk.step(f"arrival from {agent}", agents[0], 0.0, {f"answer of {agent}": size})
            if answers is not None:
                found[agent] = answers
        return found

    def _escalate(
        self, talk: Conversation, level: int, up: Labels, held: dict[int, Answers], after: str
    ) -> dict[str, int]:
        """Pass queries on to the next level; return what its agents wait for."""
        talk.begin_hop()
        gate, above = self.levels[level][0], self.levels[level + 1]
        author = gate if gate in held else next(iter(held))
        call = Escalation(
            task=talk.setting.task,
            attempt=level,
            ids=up,
            embeddings=talk.features(author, up).astype(np.float32),
        )
        size = 0
        for agent in above:
            arrived, sent = talk.send(call, gate, agent, up)
            size = max(size, sent) if arrived is not None else size
        for agent, answers in list(held.items()):
            found, sent = talk.send_answers(answers, gate, above[0], 0.0)
            size += sent
            if found is None:
                del held[agent]
        talk.step(f"escalation {level}", gate, 0.0, {after: 0})
        return {f"escalation {level}": size}

    def _report(self, talk: Conversation, decided: Sequence[Answers], gate: int) -> None:
        """Send the verdicts of higher levels down to the agent that the user asked."""
        asked = self.levels[0][0]
        for level, answers in enumerate(decided[1:]):
            if not len(answers.ids) or gate == asked:
                continue
            verdict = Verdict(
                task=talk.setting.task,
                origins=answers.origins,
                classes=answers.classes,
                ids=answers.ids,
                decided=answers.probabilities.argmax(axis=1).astype(np.int32),
                confidences=answers.probabilities.max(axis=1).astype(np.float32),
            )
            talk.begin_hop()
            _, size = talk.send(verdict, gate, asked, answers.ids)
            talk.step(f"verdict {level}", asked, 0.0, {f"decision {len(decided) - 1}": size})


def by_cost(network: Network, panel: Panel) -> Network:
    """Return a layered network with the dearest agent at the root and the cheapest at the bottom."""
    cost = [member.card.flops(panel.length) for member in panel.members]
    dearest = sorted(range(len(panel)), key=lambda agent: (-cost[agent], agent))
    places = sorted(range(network.agents), key=lambda place: (network.levels[place], place))
    agent_at = dict(zip(places, dearest, strict=True))
    parents: list[int | None] = [None] * network.agents
    for place in places:
        above = network.parent(place)
        parents[agent_at[place]] = None if above is None else agent_at[above]
    return TreeNetwork.of(parents)


def levels_of(network: Network) -> Levels:
    """Return the agents of each level, the lowest first."""
    return tuple(
        tuple(agent for agent in range(network.agents) if network.levels[agent] == level)
        for level in range(max(network.levels), -1, -1)
    )


def _up_to(levels: Levels, level: int) -> list[int]:
    return [agent for agents in levels[: level + 1] for agent in agents]


def _in_order(decided: Sequence[Answers], ids: Labels) -> Answers:
    first = decided[0]
    found = np.concatenate([each.ids for each in decided])
    order = np.argsort(found, kind="stable")
    rows = order[np.searchsorted(found, ids, sorter=order)]
    origins = tuple(sorted({origin for each in decided for origin in each.origins}))
    return Answers(
        first.split,
        ids,
        np.concatenate([each.probabilities for each in decided])[rows],
        np.concatenate([each.abstains for each in decided])[rows],
        np.concatenate([each.in_sample for each in decided])[rows],
        origins,
    )
