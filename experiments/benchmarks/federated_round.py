"""A round of federated averaging, beside Flower's simulation and a plain PyTorch loop.

    python -m experiments.benchmarks.federated_round --flower PYTHON

Thirty-two agents with the encoder tiny (a BERT of 2 layers x 128, vocabulary 8,192, dropout 0.1) take
two steps of SGD on 32 pairs of 32 tokens each, and average their weights. AgentOS runs them on two Ray hosts
of one thread; the loop trains one after another in one process; Flower simulates them on Ray with two cores.
What the round's matrix products alone would take tells what is possible on these cores.
PYTHON is an interpreter of an environment with ``flwr[simulation]``, torch and transformers; without it
Flower is left out. The sides take turns; medians of all rounds but each side's first are compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from agentos.config import RunConfig
from experiments.benchmarks.societies import hosts_of, median, publish, timed_rounds

PEERS = Path(__file__).parent
BATCH, LENGTH = 32, 32


def configuration(agents: int, rounds: int, steps: int = 2) -> RunConfig:
    """Return the same work as `peers.train` does."""
    view = {"kind": "crop", "shortest": 1.0, "longest": 1.0}  # as long as the peers' texts
    return RunConfig.model_validate(
        {
            "data": {"anchors": 0, "minimum_words": LENGTH},
            "agents": {"count": agents, "encoder": {"preset": "tiny"}},
            "topology": "master_slave",
            "exchange": "weights",
            "objectives": [
                {"kind": "info_nce", "direction": "first", "temperature": 0.05, "views": [view]}
            ],
            "training": {
                "rounds": rounds,
                "local_steps": steps,
                "batch_size": BATCH,
                "max_length": LENGTH,
                "optimizer": {"kind": "sgd", "momentum": 0.0},
                "learning_rate": 0.01,
                "warmup_steps": 0,
                "weight_decay": 0.0,
                "clip_norm": None,
            },
            "evaluation": {"tasks": ["geometry"], "documents": 20, "every": 1000, "agents": 1},
            "health": {"every": 0},
            "runtime": {"kind": "ray", "hosts": 2, "threads": 1},
        }
    )


def ours(agents: int, rounds: int) -> list[float]:
    """Return the seconds of AgentOS's rounds."""
    config = configuration(agents, rounds + 2)
    with hosts_of(config) as session:
        return timed_rounds(config, session)


def theirs(python: str, **asked: Any) -> list[float]:
    """Return the seconds of a peer's rounds but the first."""
    command = [python, "-c", "import peers; peers.main()", json.dumps(asked)]
    done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{asked['peer']} failed:\n{done.stderr[-2000:]}")
    seconds: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds[1:]


def main(
    flower: Annotated[str | None, typer.Option(help="Interpreter that has Flower.")] = None,
    agents: Annotated[int, typer.Option(help="Agents.")] = 32,
    rounds: Annotated[int, typer.Option(help="Timed rounds of each turn.")] = 2,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 1,
) -> None:
    """Compare a round of federated averaging with peers; print a Markdown table."""
    loop = partial(theirs, sys.executable, peer="serial", agents=agents, rounds=rounds + 1)
    sides: dict[str, Callable[[], list[float]]] = {
        "AgentOS, 2 hosts of 1 thread": partial(ours, agents, rounds),
        "PyTorch loop, 2 threads": partial(loop, threads=2),
        "PyTorch loop, 1 thread": partial(loop, threads=1),
        "matrix products alone, 2 processes": partial(
            theirs, sys.executable, peer="products", agents=agents, rounds=rounds + 1
        ),
    }
    if flower is not None:
        asked = {"peer": "flower", "agents": agents, "rounds": rounds + 1, "floats": 0}
        sides["Flower, 2 cores"] = partial(theirs, flower, **asked)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, measure in sides.items():
            seconds[name] += measure()
            typer.echo(f"{name}: {seconds[name]}", err=True)
    typer.echo(publish("federated_round", table(seconds, agents, flower is None)))


def table(seconds: dict[str, list[float]], agents: int, left_out: bool) -> list[str]:
    """Return the rows of the table: seconds, and how many times as fast AgentOS is."""
    first = median(next(iter(seconds.values())))
    rows = [
        f"| {agents} agents, a round of FedAvg | seconds | AgentOS is faster by |",
        "| --- | --- | --- |",
    ]
    rows += [
        f"| {name} | {median(s):.2f} | {median(s) / first:.2f} |" for name, s in seconds.items()
    ]
    if left_out:
        rows += ["", "Flower was left out: no interpreter was given with --flower."]
    return rows


if __name__ == "__main__":
    typer.run(main)
