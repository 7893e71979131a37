"""Measure how much of a training batch is padding, and what length buckets gain.

    python -m experiments.benchmarks.steps.padding --newsgroups ../shared/data/newsgroups/train.parquet

One agent with the preset tiny on one thread takes the same batches of 64 documents, in one pass each and in
buckets. The texts are crops as in the quickstart, crops and whole documents of up to 64 tokens, and, given a
Parquet file with columns text and label, crops and masked texts of longer documents. The two modes
alternate, and the fastest repeat is reported; start-up and preparation are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from agentos.config.run import RunConfig
from agentos.events import Listener
from agentos.runtime.local import LocalStore
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.exchange.isolated import Isolated
from agents.hosting.host import Host
from agents.text.collate import Padded
from agents.text.length_buckets import buckets, pass_tokens
from agents.training.agent import Agent
from agents.training.blueprint import Arm, Blueprint
from agents.training.trainer import jobs
from experiments.benchmarks.harness.societies import publish

PACKAGES = ["torch", "scipy", "sklearn", "sympy", "pandas", "ray"]
CROPS = {"kind": "info_nce", "views": ["crop"], "temperature": 0.05}


@dataclass(frozen=True)
class Setting:
    """A source of texts, the objective that encodes them, and their maximum length."""

    name: str
    source: dict[str, Any]
    objective: dict[str, Any]
    max_length: int


def settings(newsgroups: Path | None) -> Iterator[Setting]:
    """Yield the settings, those of longer documents only if a file is given."""
    docstrings = {"kind": "docstrings", "packages": PACKAGES}
    yield Setting("docstrings, crops (quickstart)", docstrings, CROPS, 24)
    yield Setting("docstrings, crops", docstrings, CROPS, 64)
    yield Setting("docstrings, whole", docstrings, {"kind": "simcse"}, 64)
    if newsgroups is not None:
        posts = {"kind": "parquet", "path": str(newsgroups), "text": "text", "label": "label"}
        yield Setting("newsgroups, crops", posts, CROPS, 32)
        yield Setting("newsgroups, crops", posts, CROPS, 128)
        yield Setting("newsgroups, masked", posts, {"kind": "masked_lm"}, 128)


def _agent_blueprint(setting: Setting, steps: int, cache: Path | None) -> Blueprint:
    """Return the blueprint of one agent."""
    config = RunConfig.model_validate(
        {
            "data": {"source": setting.source, "anchors": 0, "limit": 6000},
            "agents": {"count": 1, "encoder": {"preset": "tiny"}},
            "topology": "complete",
            "exchange": "isolated",
            "objectives": [setting.objective],
            "training": {"local_steps": steps, "max_length": setting.max_length},
            "evaluation": {"tasks": ["geometry"]},
            "runtime": {"kind": "local", "threads": 1},
        }
    )
    return blueprint_of(config, prepare_corpus(config, Listener(), cache), Listener(), cache)


def agent_of(blueprint: Blueprint, length_buckets: bool) -> Agent:
    """Return the agent, with or without length buckets."""
    training = blueprint.training.model_copy(update={"length_buckets": length_buckets})
    host = Host(LocalStore())
    host.build(replace(blueprint, training=training))
    host.begin(Arm(Isolated(), 0.0))
    return host.agents[0]


def shares(agent: Agent) -> tuple[float, float, float]:
    """Return the shares of padding in one pass and in buckets, and the mean passes per batch."""
    tokens, padded, divided, passes = 0, 0, 0, []
    for job in jobs(agent, agent.arm):
        for batch in (b for inputs in job().inputs for b in inputs.values()):
            if not isinstance(batch, Padded):
                continue
            parts = buckets(batch.lengths, pass_tokens(agent.encoder.width))
            tokens += int(batch.lengths.sum())
            padded += batch.input_ids.size
            divided += sum(len(part) * int(batch.lengths[part].max()) for part in parts)
            passes.append(len(parts))
    return 1 - tokens / padded, 1 - tokens / divided, float(np.mean(passes))


def row(setting: Setting, steps: int, repeats: int, cache: Path | None) -> str:
    """Measure a setting; return its row of the table."""
    blueprint = _agent_blueprint(setting, steps, cache)
    agents = [agent_of(blueprint, length_buckets) for length_buckets in (False, True)]
    before, after, passes = shares(agents[0])
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(1 + repeats):  # the first step warms up
        for agent, taken in zip(agents, seconds, strict=True):
            began = time.perf_counter()
            agent.train(agent.arm, 1 + turn)
            taken.append(time.perf_counter() - began)
    whole, divided = (steps / min(taken[1:]) for taken in seconds)
    return (
        f"| {setting.name} | {setting.max_length} | {before:.0%} | {after:.0%} | {passes:.1f} | "
        f"{whole:.1f} | {divided:.1f} | {divided / whole:.2f} |"
    )


def main(
    newsgroups: Annotated[
        Path | None, typer.Option(help="Parquet file of longer documents: columns text and label.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Timed steps of each repeat.")] = 5,
    repeats: Annotated[int, typer.Option(help="Repeats of each mode.")] = 4,
    cache: Annotated[Path | None, typer.Option(help="Folder for prepared text.")] = None,
) -> None:
    """Compare training in one pass and in buckets; print a Markdown table."""
    rows = [
        "| texts | up to (tokens) | padding | in buckets | passes | steps/s | in buckets | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for setting in settings(newsgroups):
        rows.append(row(setting, steps, repeats, cache))
        typer.echo(rows[-1], err=True)
    typer.echo(publish("padding", rows))


if __name__ == "__main__":
    typer.run(main)
