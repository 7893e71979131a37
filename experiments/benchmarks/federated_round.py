"""Compare a round of federated averaging with Flower's simulation and a plain PyTorch loop.

    python -m experiments.benchmarks.federated_round --flower PYTHON

Thirty-two agents with the encoder tiny (a BERT of 2 layers x 128, vocabulary 8,192, dropout 0.1) take
two steps of SGD on 32 pairs of 32 tokens each, and average their weights. AgentOS runs them on two Ray hosts
of one thread, at the precision that it chooses and in fp32; the loop trains them one after another in one
process, or half of them in each of two processes, which a user can have without a framework; Flower simulates
them on Ray in fp32 with two cores per client, its default, and with one, so that two run at a time. Tuned
loops have AgentOS's dropout, attention and precision, so that what is left is what the framework costs. The
matrix products of the round alone, in fp32, show what is possible on these cores. Everything is measured with
mean pooling, then with first-token pooling as in SimCSE (Gao et al., 2021), where AgentOS computes the last
layer only at that token. PYTHON is an interpreter of an environment with ``flwr[simulation]``, torch and
transformers; without it Flower is left out. The sides alternate; medians of all rounds but each side's first
are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from agentos.config.run import RunConfig
from agents.models.cpu.bfloat16 import has_bfloat16_units
from experiments.benchmarks.harness.societies import hosts_of, median, publish, timed_rounds

PEERS = Path(__file__).with_name("harness")
BATCH, LENGTH, HOSTS = 32, 32, 2
AS_IT_COMES = "bf16" if has_bfloat16_units(torch.device("cpu")) else "fp32"
"""What `training.precision: auto` chooses for steps of this size."""
POOLINGS = {"mean": "mean pooling", "cls": "first-token pooling"}


def configuration(
    agents: int, rounds: int, steps: int = 2, pooling: str = "mean", precision: str = "auto"
) -> RunConfig:
    """Return a run that does the same work as `peers.train`."""
    view = {
        "kind": "crop",
        "shortest": 1.0,
        "longest": 1.0,
    }  # whole documents: as long as the peers' texts
    return RunConfig.model_validate(
        {
            "data": {"anchors": 0, "minimum_words": LENGTH},
            "agents": {"count": agents, "encoder": {"preset": "tiny", "pooling": pooling}},
            "topology": "master_slave",
            "exchange": "fedavg",
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
                "precision": precision,
            },
            "evaluation": {"tasks": ["geometry"], "documents": 20, "every": 1000, "agents": 1},
            "health": {"every": 0},
            "runtime": {"kind": "ray", "hosts": HOSTS, "threads": 1},
        }
    )


def ours(agents: int, rounds: int, pooling: str, precision: str) -> list[float]:
    """Return the seconds of AgentOS's rounds."""
    config = configuration(agents, rounds + 2, pooling=pooling, precision=precision)
    with hosts_of(config) as session:
        return timed_rounds(config, session)


def theirs(python: str, module: str = "peers", **task: Any) -> list[float]:
    """Return the seconds of a peer's rounds, without the first; the peer runs in another interpreter."""
    command = [python, "-c", f"import {module} as peer; peer.main()", json.dumps(task)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PEERS.parents[2]), str(PEERS)))}
    done = subprocess.run(
        command, cwd=PEERS, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{task['peer']} failed:\n{done.stderr[-2000:]}")
    seconds: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds[1:]


def loops(
    agents: int, steps: int, rounds: int, *, tuned: bool = False, **others: Any
) -> list[float]:
    """Return the seconds of rounds of two concurrent loops of one thread, the slower of each.

    Args:
        agents, steps, rounds: of both together.
        tuned: whether the loops have AgentOS's dropout, attention and precision.
        others: further parameters of `peers.serial`.
    """
    work = {"agents": agents // HOSTS, "rounds": rounds + 1, "steps": steps, **others}
    if tuned:
        work |= {"module": "experiments.benchmarks.harness.tuned_peers", "precision": AS_IT_COMES}

    def loop(_: int) -> list[float]:
        return theirs(sys.executable, peer="serial", threads=1, **work)

    with ThreadPoolExecutor(HOSTS) as pool:
        both = list(pool.map(loop, range(HOSTS)))
    return [max(seconds) for seconds in zip(*both, strict=True)]


def sides_of(
    agents: int, rounds: int, pooling: str, flower: str | None
) -> dict[str, Callable[[], list[float]]]:
    """Return a function per side, by its name, that measures its rounds."""
    work: dict[str, Any] = {"agents": agents, "rounds": rounds + 1, "pooling": pooling}
    own = partial(theirs, sys.executable, **work)
    both = partial(loops, agents, 2, rounds, pooling=pooling)
    sides: dict[str, Callable[[], list[float]]] = {
        f"AgentOS as it comes, 2 hosts of 1 thread, {AS_IT_COMES}": partial(
            ours, agents, rounds, pooling, "auto"
        ),
        "AgentOS, 2 hosts of 1 thread, fp32": partial(ours, agents, rounds, pooling, "fp32"),
        f"tuned PyTorch loops, 2 processes of 1 thread, {AS_IT_COMES}": partial(both, tuned=True),
        "PyTorch loops, 2 processes of 1 thread, bf16": partial(both, precision="bf16"),
        "PyTorch loops, 2 processes of 1 thread, fp32": both,
        "PyTorch loop, 2 threads, fp32": partial(own, peer="serial", threads=2),
        "PyTorch loop, 1 thread, fp32": partial(own, peer="serial", threads=1),
        "matrix products alone, 2 processes, fp32": partial(own, peer="products"),
    }
    if AS_IT_COMES == "fp32":  # without units, bf16 takes many times as long
        del sides["AgentOS, 2 hosts of 1 thread, fp32"]
        del sides["PyTorch loops, 2 processes of 1 thread, bf16"]
    if flower is not None:
        simulated = partial(theirs, flower, peer="flower", floats=0, **work)
        sides["Flower, 2 cores per client (its default), fp32"] = partial(simulated, cores=2)
        sides["Flower, 1 core per client, fp32"] = partial(simulated, cores=1)
    return sides


def main(
    flower: Annotated[str | None, typer.Option(help="Interpreter that has Flower.")] = None,
    agents: Annotated[int, typer.Option(help="Agents.")] = 32,
    rounds: Annotated[int, typer.Option(help="Timed rounds of each turn.")] = 2,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 1,
) -> None:
    """Compare a round of federated averaging with peers; print Markdown tables."""
    rows: list[str] = []
    for pooling, title in POOLINGS.items():
        sides = sides_of(agents, rounds, pooling, flower)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(repeats):
            for name, measure in sides.items():
                seconds[name] += measure()
                typer.echo(f"{pooling}, {name}: {seconds[name]}", err=True)
        rows += ["", *table(seconds, f"{agents} agents, a round of FedAvg, {title}")]
    if flower is None:
        rows += ["", "Flower was left out: no interpreter was given with --flower."]
    typer.echo(publish("federated_round", rows[1:]))


def table(seconds: dict[str, list[float]], title: str) -> list[str]:
    """Return the rows of a table: seconds, and the speed-up of AgentOS."""
    first = median(next(iter(seconds.values())))
    rows = [f"| {title} | seconds | AgentOS is faster by |", "| --- | --- | --- |"]
    return rows + [
        f"| {name} | {median(s):.2f} | {median(s) / first:.2f} |" for name, s in seconds.items()
    ]


if __name__ == "__main__":
    typer.run(main)
