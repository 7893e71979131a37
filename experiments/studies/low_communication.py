"""Compare low-communication training with EXO Gym's: the same decoder, batches and steps.

    python -m experiments.studies.low_communication GYM

GYM is a checkout of https://github.com/exo-explore/gym; einops and greenlet must be importable. Four agents,
and sixteen, each a GPT-2 of 2 layers x 64, read docstrings for a number of steps and exchange by DiLoCo,
SPARTA and DeMo, under EXO Gym's strategies and under ours. Both sides begin with the same parameters and read
the same batches; only SPARTA draws other places. The table holds the mean training loss of the last quarter
of the steps, the largest difference between the two curves of losses (means over agents and `WINDOW` steps),
the loss on held-out text of the average of the agents' parameters, how far the agents are apart, and the
seconds of processor time that the training took, all agents in one process on both sides (ours prepares its
batches in it, EXO Gym is given them); means over seeds, and the range. Without GYM, only our side is
measured. NoLoCo, SPARTA by partitions, and the two extremes, no exchange and an average in every step, have
no peer there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.events import Listener
from agentos.records.reports import RoundReport
from agentos.rounds.base import RoundServices, RoundsPlan
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime.base import Session
from agentos.runtime.host_calls import HostCall
from agentos.simulation.preparation import blueprint_of, heldout_of, prepare_corpus
from agents import hosting
from agents.models.encoder import Encoder
from agents.training import trainer
from agents.training.blueprint import Arm
from experiments.benchmarks.harness.gym_peer import GymRun, Step, train
from experiments.benchmarks.harness.societies import publish

EVERY, SHARE, WINDOW = 20, 0.05, 20
ADAMW_RATE, DEMO_RATE = 3e-3, 1e-3
Losses = NDArray[np.float64]

# DeMo's local rate has no effect but rounding, which is least for a large one.
SGD = {"optimizer": {"sgd": {"momentum": 0.0}}, "learning_rate": 1.0}
PARTITIONED = {"kind": "sparta", "share": SHARE, "selection": "partitioned"}


@dataclass(frozen=True)
class Method:
    """A way to train together.

    Attributes:
        exchange: its configuration here.
        local_steps: steps between two exchanges.
        peer: the name of EXO Gym's strategy; None if it has none.
        training: fields of `training` that differ from the others'.
        topology: who speaks to whom.
    """

    exchange: dict[str, Any]
    local_steps: int = 1
    peer: str | None = None
    training: dict[str, Any] | None = None
    topology: str = "complete"


METHODS = {
    "sparta": Method({"kind": "sparta", "share": SHARE}, 1, "sparta"),
    "demo": Method({"kind": "demo", "learning_rate": DEMO_RATE}, 1, "demo", SGD),
    "diloco": Method({"kind": "diloco"}, EVERY, "diloco"),
    "sparta, partitioned": Method(PARTITIONED),
    "noloco": Method({"kind": "noloco"}, EVERY, topology="random_matching"),
    "fedavg in every step": Method({"kind": "fedavg"}),
    "isolated": Method({"kind": "isolated"}, EVERY),
}


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        losses: means over agents and `WINDOW` steps.
        heldout: nats per token of the averaged parameters on held-out text.
        apart: root mean square distance of agents from their average, relative to its norm.
        megabytes: sent by an agent; None where they are not counted.
        cpu_s: seconds of processor time of the training.
    """

    losses: Losses
    heldout: float
    apart: float
    megabytes: float | None = None
    cpu_s: float = 0.0


def configuration(method: Method, agents: int, steps: int, seed: int) -> RunConfig:
    """Return the run of a method."""
    training = {
        "rounds": steps // method.local_steps,
        "local_steps": method.local_steps,
        "batch_size": 16,
        "max_length": 32,
        "learning_rate": ADAMW_RATE,
        "warmup_steps": 0,
        "schedule": "constant",
        "weight_decay": 0.0,
        "clip_norm": None,
        **(method.training or {}),
    }
    values = {
        "seed": seed,
        "data": {
            "source": {"kind": "docstrings", "packages": ["sklearn", "scipy"]},
            "anchors": 0,
            "tokenizer": {"vocabulary_size": 2048, "sample_documents": 2000},
        },
        "agents": {"count": agents, "encoder": {"preset": "nano-decoder", "dropout": 0.0}},
        "objectives": ["causal_lm"],
        "topology": method.topology,
        "exchange": method.exchange,
        "training": training,
        "evaluation": {"tasks": ["geometry"], "documents": 400, "every": 100_000, "agents": 1},
        "health": {"every": 0},
        "runtime": {"kind": "local", "threads": 1},
    }
    return RunConfig.model_validate(values)


@dataclass(frozen=True)
class Beginnings(HostCall[tuple[Encoder, list[list[Step]]]]):
    """The initial encoder of all agents, and the batches of each in all steps of its first round."""

    arm: Arm

    def run(self, host: hosting.Host) -> tuple[Encoder, list[list[Step]]]:
        """Prepare them."""
        host.begin(self.arm)
        batches = [list(self._steps(host, agent)) for agent in sorted(host.agents)]
        return host.agents[0].encoder, batches

    def _steps(self, host: hosting.Host, agent: int) -> Iterator[Step]:
        for job in trainer.jobs(host.agents[agent], self.arm):
            inputs = host.agents[agent].resident.to_device(job().inputs[0])
            yield inputs["texts"], inputs["labels"]


@dataclass(frozen=True)
class Parameters(HostCall[torch.Tensor]):
    """Parameters `[N, P]` of all agents."""

    def run(self, host: hosting.Host) -> torch.Tensor:
        """Copy them."""
        return torch.stack([host.agents[agent].parameters for agent in sorted(host.agents)])


@dataclass(frozen=True)
class HeldoutLoss(HostCall[float]):
    """Mean next-token loss of parameters on texts, in nats; one agent lends its encoder."""

    parameters: torch.Tensor
    texts: tuple[str, ...]

    def run(self, host: hosting.Host) -> float:
        """Score the texts."""
        agent = host.agents[0]
        agent.parameters.copy_(self.parameters)
        scores = agent.token_scores(self.texts, seed=0)
        assert scores is not None  # it is a decoder
        return float(scores.nll.sum() / scores.count.sum())


def outcome(
    session: Session, config: RunConfig, losses: Losses, parameters: torch.Tensor
) -> Outcome:
    """Judge the end of a run: losses `[N, steps]`, and parameters `[N, P]`."""
    mean = parameters.double().mean(dim=0)
    apart = (parameters - mean).square().sum(dim=1).mean().sqrt() / mean.norm()
    heldout = heldout_of(config, _corpus(config)).texts
    (scored,) = session.call({0: HeldoutLoss(mean.float(), heldout)}).values()
    windows = losses.mean(axis=0).reshape(-1, WINDOW).mean(axis=1)
    return Outcome(windows, scored, float(apart))


_CORPORA: dict[tuple[int, int], Corpus] = {}


def _corpus(config: RunConfig) -> Corpus:
    """Return the text, which all methods of a seed and a size share."""
    key = (config.seed, config.agents.total)
    if key not in _CORPORA:
        _CORPORA[key] = prepare_corpus(config, Listener())
    return _CORPORA[key]


@contextmanager
def _hosts(config: RunConfig) -> Iterator[Session]:
    """Start the host of a run."""
    blueprint = blueprint_of(config, _corpus(config), Listener())
    with config.runtime.start(blueprint) as session:
        yield session


def ours(method: Method, agents: int, steps: int, seed: int) -> Outcome:
    """Train under AgentOS."""
    config = configuration(method, agents, steps, seed)
    reports: list[RoundReport] = []
    arm = Arm(config.exchange, config.exchange.anchor_fraction)
    rounds = config.training.rounds
    plan = RoundsPlan("together", arm, config.network(), rounds, config.evaluation)
    with _hosts(config) as session:
        began = time.process_time()
        SynchronousCoordinator(plan, session, RoundServices(reports.append)).run()
        cpu_s = time.process_time() - began
        trained = [report for report in reports if report.round > 0]
        by_round = [[report.metrics[a]["loss"] for report in trained] for a in range(agents)]
        losses = np.repeat(np.array(by_round), method.local_steps, axis=1)
        (parameters,) = session.call({0: Parameters()}).values()
        found = outcome(session, config, losses, parameters)
    return replace(found, megabytes=reports[-1].total_bytes / agents / 1e6, cpu_s=cpu_s)


def theirs(method: Method, agents: int, steps: int, seed: int, gym: Path) -> Outcome:
    """Train under EXO Gym, on the batches that AgentOS would draw."""
    assert method.peer is not None
    once = replace(method, exchange={"kind": "isolated"}, local_steps=steps)
    config = configuration(once, agents, steps, seed)
    rate = method.exchange.get("learning_rate", config.training.learning_rate)
    settings = {"every": EVERY, "share": SHARE, "learning_rate": rate}
    with _hosts(config) as session:
        ((encoder, batches),) = session.call({0: Beginnings(Arm(config.exchange, 0.0))}).values()
        began = time.process_time()
        losses, parameters = train(GymRun(gym.resolve(), method.peer, settings, encoder, batches))
        cpu_s = time.process_time() - began
        found = outcome(session, config, losses.double().numpy(), parameters)
    return replace(found, cpu_s=cpu_s)


def row(name: str, side: str, outcomes: Sequence[Outcome], gap: str) -> str:
    """Return a row of the table."""
    last = [found.losses[-len(found.losses) // 4 :].mean() for found in outcomes]
    columns = [
        _spread(last, 3),
        gap,
        _spread([found.heldout for found in outcomes], 3),
        _spread([found.apart for found in outcomes], 4),
        "" if outcomes[0].megabytes is None else f"{outcomes[0].megabytes:.2f}",
        _spread([found.cpu_s for found in outcomes], 1),
    ]
    return f"| {name} | {side} | " + " | ".join(columns) + " |"


def _spread(values: Sequence[float], digits: int) -> str:
    """Return the mean and the range of some values."""
    low, high = min(values), max(values)
    return f"{np.mean(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def table(agents: int, steps: int, seeds: int, gym: Path | None, paired: bool) -> list[str]:
    """Train by every method on both sides, and return the rows of a table."""
    rows = [
        f"| {agents} agents, {steps} steps | side | loss, last quarter | largest gap | "
        "held-out loss of the average | distance from it | MB sent by an agent | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, method in METHODS.items():
        if paired and method.peer is None:
            continue
        own = [ours(method, agents, steps, seed) for seed in range(seeds)]
        rows.append(row(name, "AgentOS", own, ""))
        if gym is not None and method.peer is not None:
            peer = [theirs(method, agents, steps, seed, gym) for seed in range(seeds)]
            pairs = zip(own, peer, strict=True)
            gap = max(float(np.abs(a.losses - b.losses).max()) for a, b in pairs)
            rows.append(row(name, "EXO Gym", peer, f"{gap:.4f}"))
        typer.echo("\n".join(rows[-2:]), err=True)
    return rows


def main(
    gym: Annotated[Path | None, typer.Argument(help="Checkout of EXO Gym.")] = None,
    agents: Annotated[str, typer.Option(help="Sizes of societies.")] = "4,16",
    steps: Annotated[int, typer.Option(help="Steps, a multiple of 80.")] = 160,
    seeds: Annotated[int, typer.Option(help="Seeds.")] = 2,
    paired: Annotated[bool, typer.Option(help="Only the methods that EXO Gym has.")] = False,
) -> None:
    """Train by every method on both sides; print Markdown tables."""
    sizes = [int(size) for size in agents.split(",")]
    tables = [table(size, steps, seeds, gym, paired) for size in sizes]
    typer.echo(publish("low_communication", [line for rows in tables for line in (*rows, "")][:-1]))


if __name__ == "__main__":
    typer.run(main)
