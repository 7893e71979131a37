"""Measure the cost of coordination: long rounds of AgentOS against bare loops in as many processes.

    python -m experiments.benchmarks.overhead

Eight agents with the encoder tiny take fifty steps a round and average their weights, on two Ray hosts of one
thread. They are compared with two single-threaded processes, each a plain PyTorch loop over the same steps of
four agents (`experiments.benchmarks.harness.peers`), which neither communicate nor wait for each other: as
PyTorch has them, and tuned, with AgentOS's dropout, attention and precision. The sides alternate; a round of
the loops takes as long as the slower of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from experiments.benchmarks.federated_round import AS_IT_COMES, configuration, loops
from experiments.benchmarks.harness.societies import hosts_of, median, publish, timed_rounds


def ours(agents: int, steps: int, rounds: int) -> list[float]:
    """Return the seconds of AgentOS's rounds."""
    config = configuration(agents, rounds + 2, steps)
    with hosts_of(config) as session:
        return timed_rounds(config, session)


def main(
    agents: Annotated[int, typer.Option(help="Agents, an even number.")] = 8,
    steps: Annotated[int, typer.Option(help="Local steps of a round.")] = 50,
    rounds: Annotated[int, typer.Option(help="Timed rounds of each turn.")] = 1,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 2,
) -> None:
    """Compare the steps per second with those of bare loops; print a Markdown table."""
    sides: dict[str, Callable[[int, int, int], list[float]]] = {
        f"AgentOS as it comes, 2 hosts of 1 thread, {AS_IT_COMES}": ours,
        "bare loops, 2 processes of 1 thread, fp32": loops,
        f"tuned bare loops, 2 processes of 1 thread, {AS_IT_COMES}": partial(loops, tuned=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, measure in sides.items():
            seconds[name] += measure(agents, steps, rounds)
            typer.echo(f"{name}: {seconds[name]}", err=True)
    rates = {name: agents * steps / median(taken) for name, taken in seconds.items()}
    bare = list(rates.values())[-1]
    rows = [
        f"| {agents} agents, {steps} steps a round | steps per second | share of the tuned loops |",
        "| --- | --- | --- |",
    ]
    rows += [f"| {name} | {rate:.2f} | {rate / bare:.2f} |" for name, rate in rates.items()]
    typer.echo(publish("overhead", rows))


if __name__ == "__main__":
    typer.run(main)
