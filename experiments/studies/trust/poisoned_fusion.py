"""Measure what robust fusions promise: the quality of honest agents, with and without poisoned senders.

    python -m experiments.studies.trust.poisoned_fusion

Seven agents, a GPT-2 of 2 layers x 64 each, read docstrings and average their parameters with all others
after every few steps. Two of them send something else than what they have learnt, all through the run: noise,
their parameters negated, or ten times as large. That is as many as every robust fusion here tolerates among
seven. Quality is the perplexity of the five others on held-out text; lower is better. A fusion withstands an
attack if it leaves them nearer to the same fusion without an attack than to agents that exchange nothing, in
every seed.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from agentos import RunConfig, Simulation
from agentos.records.layout import agent_name
from experiments.benchmarks.fuzzing.crash_points import without_reports
from experiments.benchmarks.harness.societies import publish
from protocols.errors import TrainingError

AGENTS, POISONED, STEPS = 7, (5, 6), 4
ALONE = "no exchange"
FUSIONS: dict[str, Any] = {
    "mean": "mean",
    "median": "median",
    "trimmed mean, share 0.3": {"kind": "trimmed_mean", "share": 0.3},
    "Krum, f = 2": {"kind": "krum", "byzantine": 2},
}
ATTACKS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "noise": {"mode": "noise"},
    "sign flip": {"mode": "sign_flip"},
    "ten times": {"mode": "scale", "factor": 10.0},
}
CELLS = ((ALONE, "none"), *((fusion, attack) for fusion in FUSIONS for attack in ATTACKS))


def configuration(fusion: str, attack: str, rounds: int, seed: int) -> RunConfig:
    """Return the run of a fusion, or without an exchange, under an attack."""
    fault = ATTACKS[attack]
    averaging = {"kind": "fedavg", "fusion": FUSIONS.get(fusion)}
    values = {
        "name": "poisoned",
        "seed": seed,
        "data": {
            "source": {"kind": "docstrings", "packages": ["sklearn", "scipy"]},
            "anchors": 0,
            "tokenizer": {"vocabulary_size": 2048, "sample_documents": 2000},
        },
        "agents": {"count": AGENTS, "encoder": {"preset": "nano-decoder", "dropout": 0.0}},
        "objectives": ["causal_lm"],
        "topology": "complete",
        "exchange": "isolated" if fusion == ALONE else averaging,
        "training": {
            "rounds": rounds,
            "local_steps": STEPS,
            "batch_size": 8,
            "max_length": 32,
            "learning_rate": 3e-3,
            "warmup_steps": 0,
        },
        "faults": [] if fault is None else [{"kind": "byzantine", "agents": POISONED, **fault}],
        "evaluation": {
            "tasks": [{"perplexity": {"documents": 64}}],
            "every": rounds,
            "between_agents": False,
        },
        "baseline": {"isolated": False},
        "saved_encoders": 0,
        "checkpoints": {"every": 0},
        "health": {"every": 0},
        "runtime": {"kind": "local", "threads": 1},
    }
    return RunConfig.model_validate(values)


def perplexity(config: RunConfig) -> float:
    """Run, and return the mean perplexity of the honest agents at the end; infinite if training diverges."""
    with TemporaryDirectory() as folder:
        try:
            found = Simulation(config, Path(folder) / "run").run().agents
        except TrainingError:
            return math.inf
    honest = [agent for agent in range(AGENTS) if agent not in POISONED]
    return statistics.mean(found[agent_name(agent)]["perplexity"] for agent in honest)


def withstands(fusion: str, attack: str, found: Mapping[tuple[str, str], Sequence[float]]) -> bool:
    """Return whether attacked agents are nearer to those not attacked than to those alone, in every seed."""
    triples = zip(found[fusion, attack], found[fusion, "none"], found[ALONE, "none"], strict=True)
    return all(
        abs(attacked - honest) < abs(attacked - alone) for attacked, honest, alone in triples
    )


def table(found: Mapping[tuple[str, str], Sequence[float]], command: str) -> list[str]:
    """Return the means and ranges over seeds, in Markdown."""
    rows = [
        "# Robust fusions, honest and attacked",
        "",
        f"`{command}`: perplexity on held-out text of the five honest agents of seven, means over "
        f"{len(found[ALONE, 'none'])} seeds and the range; lower is better. Withstands: nearer to the same "
        "fusion without an attack than to no exchange, in every seed. inf: training diverged.",
        "",
        "| fusion | two of seven send | perplexity | of no attack | withstands |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for (fusion, attack), values in found.items():
        share, answer = "", ""
        if attack != "none":
            pairs = zip(values, found[fusion, "none"], strict=True)
            share = f"{statistics.mean(a / b for a, b in pairs):.2f} x"
            answer = "yes" if withstands(fusion, attack, found) else "no"
        what = "what they learnt" if attack == "none" else attack
        rows.append(f"| {fusion} | {what} | {_spread(values)} | {share} | {answer} |")
    return rows


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.4g} ({min(values):.4g}-{max(values):.4g})"


def main(
    rounds: Annotated[int, typer.Option(help=f"Rounds of {STEPS} steps.")] = 8,
    seeds: Annotated[int, typer.Option(help="Seeds.")] = 5,
    first: Annotated[int, typer.Option(help="The first seed to run.")] = 0,
    kept: Annotated[Path, typer.Option(help="Outcomes so far.")] = Path("build/poisoned.jsonl"),
) -> None:
    """Run every fusion under every attack; write a Markdown table. What is kept is not run again."""
    without_reports()
    for seed in range(first, seeds):
        for fusion, attack in CELLS:
            if (fusion, attack, seed) not in known(kept):
                config = configuration(fusion, attack, rounds, seed)
                keep(kept, fusion, attack, seed, perplexity(config))
    values = known(kept)
    wanted = [(*cell, seed) for cell in CELLS for seed in range(seeds)]
    if left := [each for each in wanted if each not in values]:
        sys.stdout.write(
            f"{len(left)} runs are left; without --first the command goes on with them\n"
        )
        return
    found = {cell: [values[(*cell, seed)] for seed in range(seeds)] for cell in CELLS}
    command = (
        f"python -m experiments.studies.trust.poisoned_fusion --rounds {rounds} --seeds {seeds}"
    )
    sys.stdout.write(publish("poisoned_fusion", table(found, command)) + "\n")


def known(path: Path) -> dict[tuple[str, str, int], float]:
    """Return the outcomes in a file, by fusion, attack and seed."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = map(json.loads, lines)
    return {(fusion, attack, seed): value for fusion, attack, seed, value in rows}


def keep(path: Path, *row: str | int | float) -> None:
    """Append an outcome to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    typer.run(main)
