"""Compare self-supervised objectives at the same number of tokens.

One agent reads all the text. Every objective trains the same encoder from the same initial weights, on the
same documents, until the same number of tokens has been encoded with a gradient; tokens of a decoder (TSDAE)
or a generator (RTD) that is trained with it count as well. A linear probe and a nearest-neighbour vote then
classify held-out documents.

    python -m experiments.studies.objectives ../shared/data/newsgroups/train.parquet --out table.md

Runs that have finished are not repeated, so an interrupted study continues where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from agentos import RunConfig, Simulation
from agentos.reporting.statistics import Interval, interval

BATCH = 128
"""Texts encoded per step, however many views an objective makes of a document."""

ROUNDS = 4
CONTRAST = {"kind": "info_nce", "views": ["crop"], "temperature": 0.05}
ARMS: Mapping[str, list[dict[str, Any]]] = {
    "MLM": [{"kind": "masked_lm"}],
    "RTD": [{"kind": "replaced_token_detection"}],
    "NSP": [{"kind": "next_sentence"}],
    "TSDAE": [{"kind": "denoising"}],
    "NT-Xent": [{"kind": "nt_xent", "views": ["crop"], "temperature": 0.05}],
    "InfoNCE-crop": [CONTRAST],
    "MLM+InfoNCE": [{"kind": "masked_lm"}, CONTRAST],
}
UNTRAINED = "untrained"
VIEWS = {
    "masked_lm": 1,
    "replaced_token_detection": 1,
    "next_sentence": 1,
    "denoising": 1,
    "nt_xent": 2,
    "info_nce": 2,
}
"""Views that each objective makes of a document."""
METRICS = ("probe_accuracy", "knn_accuracy")


def configuration(data: Path, arm: str, seed: int, steps: int) -> RunConfig:
    """Return the run of one arm."""
    objectives = ARMS[arm]
    views = sum(VIEWS[objective["kind"]] for objective in objectives)
    return RunConfig.model_validate(
        {
            "name": "objectives",
            "seed": seed,
            "data": {
                "source": {"kind": "parquet", "path": str(data), "text": "text", "label": "label"},
                "anchors": 0,
                "heldout": 0.15,
                "heldout_limit": 1600,
                "on_bad_record": "skip",
            },
            "agents": {"count": 1, "encoder": {"preset": "tiny"}},
            "topology": "complete",
            "exchange": "isolated",
            "objectives": objectives,
            "baseline": {"isolated": False},
            "training": {
                "rounds": ROUNDS,
                "local_steps": max(1, round(steps / ROUNDS)),
                "batch_size": BATCH // views,
                "max_length": 32,
            },
            "evaluation": {
                "every": ROUNDS,
                "tasks": ["probe", "knn", "geometry"],
                "documents": 1600,
                "max_length": 128,
            },
            "runtime": "local",
        }
    )


def tokens_per_step(data: Path, arm: str, runs: Path) -> float:
    """Return the tokens that a step of an arm costs, measured over a few steps of a small encoder."""
    values = configuration(data, arm, seed=0, steps=8 * ROUNDS).model_dump(
        mode="json", serialize_as_any=True
    )
    values["agents"] = {"count": 1, "encoder": {"preset": "nano"}}
    values["evaluation"] |= {"tasks": ["geometry"], "documents": 20}
    folder = runs / "tokens" / arm
    shutil.rmtree(folder, ignore_errors=True)
    result = Simulation(RunConfig.model_validate(values), folder).run()
    return spent(result.directory) / result.steps


def spent(folder: Path) -> int:
    """Return the tokens that a run trained on, including those of its decoder or generator."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return sum(row.get("tokens", 0) + row.get("decoder_tokens", 0) for row in rows)


def run(data: Path, arm: str, seed: int, tokens: int, runs: Path) -> dict[str, Any]:
    """Train and evaluate one arm under one seed, unless its run has finished before."""
    torch.set_num_threads(1)
    folder = runs / f"{arm}-{tokens}-{seed}"
    summary = folder / "summary.json"
    if not (summary.is_file() and json.loads(summary.read_text())["status"] == "finished"):
        shutil.rmtree(folder, ignore_errors=True)
        steps = round(tokens / tokens_per_step(data, arm, folder.with_suffix(".draft")))
        shutil.rmtree(folder.with_suffix(".draft"))
        Simulation(configuration(data, arm, seed, steps), folder).run()
    loaded: dict[str, Any] = json.loads(summary.read_text())
    return {**loaded, "tokens": spent(folder)}


def tabulate(results: Mapping[str, list[dict[str, Any]]]) -> str:
    """Return a Markdown table of all arms, the untrained encoder first."""
    rows = [_row(UNTRAINED, [result["before"]["mean"] for result in results["InfoNCE-crop"]])]
    for arm, found in results.items():
        steps, tokens = found[0]["steps"], sum(r["tokens"] for r in found) / len(found)
        cost = f"{steps:,} | {tokens / 1e6:.2f}"
        rows.append(_row(arm, [result["mean"] for result in found], cost))
    head = "| objective | probe accuracy | kNN accuracy | steps | tokens (M) |"
    return "\n".join([head, "| --- " * 5 + "|", *rows])


def _row(arm: str, found: list[dict[str, float]], cost: str = "0 | 0") -> str:
    cells = [_cell(interval([values[metric] for values in found])) for metric in METRICS]
    return f"| {arm} | {' | '.join(cells)} | {cost} |"


def _cell(value: Interval) -> str:
    return f"{value.mean:.3f} ± {value.half_width:.3f}"


def main(
    data: Annotated[Path, typer.Argument(help="A Parquet file with columns text and label.")],
    seeds: Annotated[int, typer.Option(help="Runs of each objective.")] = 3,
    tokens: Annotated[int, typer.Option(help="Tokens that each run may train on.")] = 2_000_000,
    jobs: Annotated[int, typer.Option(help="Runs at a time, of one thread each.")] = 2,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/objectives"),
    out: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Compare objectives at equal tokens; print a Markdown table."""
    results: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    # Spawned, since a forked child would share PyTorch's threads.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {
            pool.submit(run, data, arm, seed, tokens, runs): (arm, seed)
            for seed in range(seeds)
            for arm in ARMS
        }
        for done, future in enumerate(as_completed(futures), start=1):
            arm, seed = futures[future]
            result = future.result()
            results[arm].append(result)
            score = result["mean"]["probe_accuracy"]
            typer.echo(f"[{done}/{len(futures)}] {arm}, seed {seed}: probe {score:.3f}", err=True)
    table = tabulate(results)
    typer.echo(table)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
