"""Measure what training several agents together gains on one core, by the size of a step.

    python -m experiments.benchmarks.steps.stacks

Sixteen agents of one host take local steps on docstrings, one by one and in stacks of different sizes; the
ways alternate. Seconds are those of the training thread's processor time, views prepared in it, so that
other work on the machine counts as little as possible. Evaluation, exchange and start-up are left out.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from agentos.config.run import RunConfig
from agentos.events import Listener
from agentos.runtime.local import LocalStore
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.exchange.isolated import Isolated
from agents.hosting.host import Host
from agents.training.blueprint import Arm
from agents.training.stacked.stack_size import choose_stack
from experiments.benchmarks.harness.societies import publish

AGENTS = 16
SIZES = (1, 4, 8, 16)
ALONE = Arm(Isolated(), 0.0)


@dataclass(frozen=True)
class Work:
    """An encoder, its objective, and the size of a step."""

    preset: str
    objective: str
    documents: int
    tokens: int

    def row(self) -> str:
        """Return the name of the row."""
        return f"{self.preset}, {self.objective}, {self.documents} x {self.tokens}"


WORKS = (
    Work("nano", "info_nce", 4, 16),
    Work("nano", "info_nce", 8, 32),
    Work("nano", "info_nce", 32, 32),
    Work("nano", "masked_lm", 4, 16),
    Work("nano-decoder", "causal_lm", 4, 16),
    Work("tiny", "info_nce", 4, 16),
    Work("tiny", "info_nce", 8, 32),
)


def configuration(work: Work, steps: int) -> RunConfig:
    """Return a run of this work."""
    values: dict[str, Any] = {
        "data": {"anchors": 0, "minimum_words": 8, "tokenizer": {"vocabulary_size": 2048}},
        "agents": {"count": AGENTS, "encoder": {"preset": work.preset}},
        "objectives": [work.objective],
        "exchange": "isolated",
        "training": {
            "rounds": 1,
            "local_steps": steps,
            "batch_size": work.documents,
            "max_length": work.tokens,
            "precision": "fp32",
            "view_workers": 0,
        },
        "baseline": {"isolated": False},
        "runtime": {"kind": "local"},
    }
    return RunConfig.model_validate(values)


def measure(work: Work, steps: int, repeats: int) -> tuple[dict[int, float], int]:
    """Return median milliseconds a step of an agent by size of the stack, and the size chosen by auto."""
    config = configuration(work, steps)
    host = Host(LocalStore())
    host.build(blueprint_of(config, prepare_corpus(config, Listener()), Listener()))
    host.begin(ALONE)
    (resident,) = host.residents.values()
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    for repeat in range(1 + repeats):
        for size in SIZES:
            host.stack_sizes = {resident: size}
            began = time.thread_time()
            host.train(repeat + 1)
            if repeat:  # the first warms up
                seconds[size].append((time.thread_time() - began) / AGENTS / steps)
    host.close()
    medians = {size: 1e3 * statistics.median(each) for size, each in seconds.items()}
    return medians, choose_stack(resident, ALONE).size


def main(
    steps: Annotated[int, typer.Option(help="Local steps of a round.")] = 5,
    repeats: Annotated[int, typer.Option(help="Rounds of each way.")] = 4,
) -> None:
    """Compare agents that train together with agents one by one; print a Markdown table."""
    sizes = " | ".join(f"stacks of {size}" for size in SIZES[1:])
    rows = [
        f"| documents x tokens a step | ms a step, one by one | {sizes} | gain | auto |",
        "| --- | ---: |" + " ---: |" * (len(SIZES) + 1),
    ]
    for work in WORKS:
        medians, chosen = measure(work, steps, repeats)
        figures = " | ".join(f"{medians[size]:.2f}" for size in SIZES)
        gain = medians[1] / min(medians.values())
        rows.append(f"| {work.row()} | {figures} | {gain:.2f} | {chosen} |")
        typer.echo(rows[-1], err=True)
    typer.echo(publish("stacks", rows))


if __name__ == "__main__":
    typer.run(main)
