"""Compare rounds without local work, in which only the exchange costs time, with Flower's simulation.

    python -m experiments.benchmarks.empty_round --flower PYTHON

A thousand agents send 1,000 or 250,000 numbers each to a master, which averages them and broadcasts the
average. PYTHON is an interpreter that has Flower, see `experiments.benchmarks.federated_round`; Flower's
clients return the numbers that they received. AgentOS is timed after a warm-up in which large messages have
touched all of the object store, since a virtual machine may be slow to provide a page that was never used.
Flower's messages occupy little of its store at a time, so only its first round is left out.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import typer
from pydantic import Field

from agentos.config.run import RunConfig
from agents.exchange.base import ExchangeState, Learner
from agents.exchange.parameters.fedavg import FedAvg
from agents.training.agent import Agent
from experiments.benchmarks.federated_round import theirs
from experiments.benchmarks.harness.societies import Idle, hosts_of, median, publish, timed_rounds

WARM_UP = 12
"""Rounds before the timed rounds; at 250,000 numbers they fill the store about three times."""


class NumberAveraging(FedAvg):
    """Averages vectors of any length, for agents that never train."""

    kind: Literal["numbers"] = "numbers"  # type: ignore[assignment]
    floats: int = Field(1000, description="Numbers of each agent.")

    def initial_state(self, learner: Learner) -> ExchangeState:
        """Replace the encoder's parameters by a vector of zeros."""
        assert isinstance(learner, Agent)
        learner.state.parameters = torch.zeros(self.floats)
        return super().initial_state(learner)


def configuration(agents: int, rounds: int, object_store_mb: int) -> RunConfig:
    """Return a run of agents with the smallest encoder."""
    return RunConfig.model_validate(
        {
            "data": {"anchors": 0, "minimum_words": 8, "tokenizer": {"vocabulary_size": 500}},
            "agents": {"count": agents, "encoder": {"preset": "nano"}},
            "topology": "master_slave",
            "exchange": "fedavg",
            "training": {"rounds": rounds, "local_steps": 1, "batch_size": 2},
            "evaluation": {"tasks": ["geometry"], "documents": 20, "every": 1000, "agents": 1},
            "health": {"every": 0},
            "runtime": {"kind": "ray", "hosts": 2, "object_store_mb": object_store_mb},
        }
    )


def main(
    flower: Annotated[str | None, typer.Option(help="Interpreter that has Flower.")] = None,
    agents: Annotated[int, typer.Option(help="Agents.")] = 1000,
    floats: Annotated[str, typer.Option(help="Numbers of each agent.")] = "1000,250000",
    rounds: Annotated[int, typer.Option(help="Timed rounds.")] = 9,
    object_store_mb: Annotated[int, typer.Option(help="Shared memory for messages.")] = 4096,
) -> None:
    """Compare an empty round with Flower's; print a Markdown table."""
    config = configuration(agents, WARM_UP + rounds + 1, object_store_mb)
    rows = [
        f"| {agents:,} agents without local work | AgentOS (s) | Flower (s) | AgentOS is faster by |",
        "| --- | --- | --- | --- |",
    ]
    with hosts_of(config) as session:
        own = {
            count: median(
                timed_rounds(config, Idle(session), NumberAveraging(floats=count), WARM_UP)
            )
            for count in map(int, floats.split(","))
        }
    for count, seconds in own.items():
        peer_cells = "left out | "
        if flower is not None:
            found = theirs(flower, peer="flower", agents=agents, rounds=5, floats=count)
            peer = median(found)
            peer_cells = f"{peer:.2f} | {peer / seconds:.0f}"
        rows.append(f"| {count:,} floats each | {seconds:.3f} | {peer_cells} |")
        typer.echo(rows[-1], err=True)
    typer.echo(publish("empty_round", rows))


if __name__ == "__main__":
    typer.run(main)
