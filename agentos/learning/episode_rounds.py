"""Rounds of one episode, from the states that were accepted last, and the answers of a society."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentos.learning.curriculum import Curriculum
from agentos.preflight.flops import sizes_of
from agentos.records.layout import ENCODERS, TOGETHER
from agentos.records.reports import ArmResult, RoundReport
from agentos.rounds.base import RoundServices, RoundsPlan, save_states
from agentos.rounds.faults.injector import FaultInjector
from agentos.rounds.final_states import save_encoders
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime import Session
from agentos.runtime.host_calls import Consolidate, HostCall, Restore
from agents import hosting
from agents.answering import Answers
from agents.answering.answers import Split
from agents.answering.logistic import softmax
from agents.hosting.pytree import tree_bytes
from agents.training.blueprint import Arm

_SHARPNESS = 10.0
"""Multiplies scores of a ridge regression, which are near 0 and 1, before their softmax."""


@dataclass(frozen=True)
class States:
    """The states of a society in a folder.

    Attributes:
        folder: the folder.
        digests: the SHA-256 of each agent's file.
    """

    folder: Path
    digests: dict[int, str]


@dataclass(frozen=True)
class Spent:
    """The cost of an episode, over all agents.

    Attributes:
        tokens: tokens that training took through encoders.
        embedded_tokens: tokens embedded without a gradient.
        message_bytes: serialised bytes of all deliveries.
        memory_bytes: bytes that retentions and exchanges keep at the end.
        flops: operations of training and embedding, as `agentos.preflight.flops` estimates them.
        claim_flops: operations of stating and weighing claims: embedding for them, and comparisons.
    """

    tokens: int
    embedded_tokens: int
    message_bytes: int
    memory_bytes: int
    flops: int
    claim_flops: int = 0

    def plus_claims(self, message_bytes: int, flops: int) -> Spent:
        """Return the cost with that of claims: their deliveries and their operations."""
        return replace(self, message_bytes=self.message_bytes + message_bytes, claim_flops=flops)


@dataclass(frozen=True)
class MemoryBytes(HostCall[dict[int, int]]):
    """Count the bytes that objectives and exchanges of each agent keep."""

    def run(self, host: hosting.Host) -> dict[int, int]:
        """Return them by agent."""
        sizes = {}
        for id, agent in host.agents.each(host.agents.order(), host.agents.begun):
            state = agent.state
            kept = [each.to_tree() for each in (*state.objectives, *state.exchange)]
            sizes[id] = tree_bytes(kept)
        return sizes


@dataclass(frozen=True)
class Classify(HostCall[dict[int, "NDArray[np.float64] | None"]]):
    """Classify the same texts with every agent, by one of its two heads."""

    phase = "evaluate"
    texts: Sequence[str]
    head: Literal["trained", "ridge"]

    def run(self, host: hosting.Host) -> dict[int, NDArray[np.float64] | None]:
        """Return the class probabilities `[N, K]` by agent; None from one without the head."""
        found: dict[int, NDArray[np.float64] | None] = {}
        for id, agent in host.agents.each(host.agents.order(), host.agents.begun):
            if self.head == "ridge":
                scores = agent.ridge_scores(self.texts)
                found[id] = None if scores is None else softmax(_SHARPNESS * scores)
            else:
                labelled = agent.label_scores(self.texts)
                found[id] = None if labelled is None else labelled.probabilities
        return found


class EpisodeCoordinator(SynchronousCoordinator):
    """Takes a society through the rounds of an episode, beginning with accepted states.

    Args:
        plan: the rounds.
        session: hosts that are up.
        services: parts of the run to report to.
        injector: the faults of the run, whose rounds count from 1 in every episode.
        states: the accepted states; None for untrained agents.
    """

    def __init__(
        self,
        plan: RoundsPlan,
        session: Session,
        services: RoundServices,
        injector: FaultInjector,
        states: States | None,
    ) -> None:
        super().__init__(plan, session, services, injector=injector)
        self.states = states

    def _start(self) -> None:
        self.injector.restart()
        if self.states is not None:
            load(self.session, self.states)


def load(session: Session, states: States) -> None:
    """Restore the agents of a session to states, and begin their exchange from there."""
    session.call_all(Restore(states.folder.absolute(), states.digests, afresh=True))


def learn(
    curriculum: Curriculum,
    session: Session,
    arm: Arm,
    number: int,
    states: States | None,
    on_round: Callable[[RoundReport], None],
    rounds: int,
) -> Spent:
    """Take a society through the rounds of an episode, and let retentions take in what it taught."""
    config = curriculum.config
    plan = RoundsPlan(
        name=TOGETHER,
        arm=arm,
        network=config.network(),
        rounds=rounds,
        evaluation=config.evaluation,
        evaluated=(),  # episodes are measured on their tests
    )
    injector = FaultInjector(config.faults, config.policy, config.seed, config.agents.total)
    coordinator = EpisodeCoordinator(plan, session, RoundServices(on_round), injector, states)
    coordinator.run()
    session.call_all(Consolidate(number))
    result = coordinator.result
    return Spent(
        tokens=int(result.total("tokens") + result.total("decoder_tokens")),
        embedded_tokens=int(result.total("embedded_tokens")),
        message_bytes=result.ledger.total(),
        memory_bytes=sum(session.ask_all(MemoryBytes()).values()),
        flops=_flops(curriculum, result),
    )


def _flops(curriculum: Curriculum, result: ArmResult) -> int:
    """Return the operations of an episode: those of the rounds, by agent and size."""
    config = curriculum.config
    length, total = config.training.max_length, 0
    for agent, size in sizes_of(config.society().encoders).items():
        of_agent = [report.metrics.get(agent, {}) for report in result.rounds]
        trained, decoded, embedded = (
            int(sum(metrics.get(name, 0.0) for metrics in of_agent))
            for name in ("tokens", "decoder_tokens", "embedded_tokens")
        )
        total += size.flops(length, trained + decoded, embedded)
    return total


def snapshot(session: Session, folder: Path) -> States:
    """Write the states of all agents into a folder, and their encoders as Hugging Face folders."""
    folder.mkdir(parents=True, exist_ok=True)
    save_encoders(session, sorted(session.placement), folder.absolute() / ENCODERS)
    return States(folder, save_states(session, folder.absolute()))


def probabilities(
    session: Session, texts: Sequence[str], head: Literal["trained", "ridge"], classes: int
) -> dict[int, NDArray[np.float64]]:
    """Return the class probabilities of texts `[N, K]` by the classifier of each agent.

    An agent that has no ridge regression yet finds every class as probable.
    """
    calls: dict[int, HostCall[dict[int, NDArray[np.float64] | None]]] = {
        host: Classify(texts, head) for host in session.hosts
    }
    level = np.full((len(texts), classes), 1 / classes)
    found = session.ask(calls)
    return {agent: level if rows is None else rows for agent, rows in found.items()}


def society_answer(rows: dict[int, NDArray[np.float64]]) -> NDArray[np.int64]:
    """Return the class that all agents together find most probable: that of the mean probability."""
    mean_NK: NDArray[np.float64] = np.mean(list(rows.values()), axis=0)
    return np.asarray(mean_NK.argmax(axis=1), np.int64)


def as_answers(
    rows: dict[int, NDArray[np.float64]],
    ids: NDArray[np.int64],
    split: Split,
    origins: dict[int, str],
) -> list[Answers]:
    """Return the probabilities of agents as answers that no agent was fitted on."""
    no = np.zeros(len(ids), bool)
    return [Answers(split, ids, found, no, no, (origins[agent],)) for agent, found in rows.items()]
