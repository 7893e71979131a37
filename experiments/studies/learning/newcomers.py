"""Measure how much of its elders' quality a new agent reaches with a quarter of their tokens.

    python -m experiments.studies.learning.newcomers --seeds 5

For each seed a society of small agents learns from docstrings. A larger agent joins it: taught by what the
elders found about public anchors, and from scratch, on the same text and for as many steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from agentos.config.load import load
from agentos.learning.knowledge.transfer import Transfer, transfer
from agentos.reporting.statistics import interval, paired_p
from agentos.simulation.simulation import Simulation
from experiments.benchmarks.harness.societies import RESULTS
from experiments.studies.exchange_tables import markdown
from experiments.studies.running import command

SOCIETY = (
    *("data.private_labels=null", "data.partition=iid", "agents.count=4", "topology=ring"),
    *("exchange=anchor_similarity", "objectives=[info_nce]", "baseline.isolated=false"),
    *("evaluation.tasks=[probe]", "evaluation.joint=null", "evaluation.between_agents=false"),
    *("evaluation.every=99", "training.rounds=6", "training.local_steps=40", "runtime=local"),
)
METRIC = "probe_accuracy"


def one(seed: int, preset: str, folder: Path) -> Transfer:
    """Let a society learn, and a new agent of a size join it."""
    society = folder / f"society-{seed}"
    if not society.exists():
        Simulation(load("quickstart", [*SOCIETY, f"seed={seed}"]), society).run()
    return transfer(society, [f"encoder.preset={preset}"], folder / f"{preset}-{seed}")


def table(found: Sequence[tuple[str, Sequence[Transfer]]]) -> str:
    """Return a Markdown table: a row for elders and for both new agents of each size."""
    rows = []
    for preset, each in found:
        taught = [100 * t.taught[METRIC] for t in each]
        scratch = [100 * t.scratch[METRIC] for t in each]
        elders = [100 * t.elders[METRIC] for t in each]
        p = f"{paired_p(taught, scratch):.3f}" if len(each) > 1 else "-"
        rows += [
            ["elders, nano; or copies of their weights", "100 %", _shown(elders), "100 %", "-"],
            [f"new agent, {preset}", _tokens(each), _shown(taught), _share(taught, elders), p],
            [
                f"from scratch, {preset}",
                _tokens(each),
                _shown(scratch),
                _share(scratch, elders),
                "-",
            ],
        ]
    head = ["agent", "tokens of an elder", "probe accuracy", "of the elders'", "p against scratch"]
    return markdown(head, rows)


def _shown(values: Sequence[float]) -> str:
    found = interval(values)
    return f"{found.mean:.1f} ± {found.half_width:.1f}"


def _share(values: Sequence[float], elders: Sequence[float]) -> str:
    return f"{100 * sum(values) / sum(elders):.0f} %"


def _tokens(each: Sequence[Transfer]) -> str:
    return f"{100 * sum(t.token_share for t in each) / len(each):.0f} %"


def main(
    seeds: Annotated[int, typer.Option(help="Societies.")] = 5,
    presets: Annotated[str, typer.Option(help="Sizes of the new agent, by commas.")] = "tiny",
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Let new agents join societies, and write the page."""
    found: dict[str, list[Transfer]] = {preset: [] for preset in presets.split(",")}
    with TemporaryDirectory(prefix="agentos-") as folder:
        for seed in range(seeds):
            for preset, each in found.items():
                each.append(one(seed, preset, Path(folder)))
                typer.echo(f"seed {seed}, {preset}: {each[-1].taught[METRIC]:.3f}")
    about = (
        f"{seeds} societies of 4 nano agents on a ring, docstrings of six libraries in equal parts, 6 rounds "
        "of 40 steps, exchange anchor_similarity about 1,024 public anchors. A new agent takes a quarter of "
        "an elder's steps, on all text but the anchors and what is held out; the one from scratch reads the "
        "anchors as text too. Accuracy of a linear probe on held-out docstrings, in points, mean ± "
        "half-width of a 95 % Student interval over societies; p of a paired t-test."
    )
    parts = ["# What a new agent reaches", f"`{command('learning.newcomers')}`", about]
    page = results / "newcomers.md"
    page.write_text("\n\n".join([*parts, table(list(found.items()))]) + "\n", encoding="utf-8")
    typer.echo(str(page))


if __name__ == "__main__":
    typer.run(main)
