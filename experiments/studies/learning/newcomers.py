"""Measure how much of its elders' quality a new agent reaches with a quarter of their tokens.

    python -m experiments.studies.learning.newcomers --seeds 5

For each seed a society of small agents learns from docstrings. A larger agent joins it: taught by what the
elders found about public anchors, and from scratch, on the same text and for as many steps. One of their own
size begins with a copy of the weights of the first elder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from agentos.config.load import load
from agentos.learning.transfer import Transfer, transfer
from agentos.reporting.statistics import interval, paired_p
from agentos.reporting.units import ABSENT
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
SIZE = "nano"
"""Encoder of the elders."""


@dataclass(frozen=True)
class Newcomers:
    """The new agents of one society: of another size, and copies of an elder."""

    other: Transfer
    copied: Transfer


def one(seed: int, preset: str, folder: Path) -> Newcomers:
    """Let a society learn, and two new agents join it: one of a size, and a copy of an elder."""
    society = folder / f"society-{seed}"
    if not society.exists():
        Simulation(load("quickstart", [*SOCIETY, f"seed={seed}"]), society).run()
    copy = f"agents.encoder={{path: {society / 'encoders/agent-0'}}}"
    return Newcomers(
        transfer(society, [f"encoder.preset={preset}"], folder / f"{preset}-{seed}"),
        transfer(society, [copy], folder / f"copy-{seed}"),
    )


def table(preset: str, found: Sequence[Newcomers]) -> str:
    """Return a Markdown table: a row for elders, and for new agents with what elders found and without."""
    others, copies = [each.other for each in found], [each.copied for each in found]
    elders = [100 * each.elders[METRIC] for each in others]
    rows = [[f"elders, {SIZE}", "100 %", _shown(elders), "100 %", ABSENT]]
    for name, without, each in (
        (f"new agent, {preset}", f"from scratch, {preset}", others),
        (f"copy of an elder, {SIZE}, taught too", f"copy of an elder, {SIZE}", copies),
    ):
        taught = [100 * t.taught[METRIC] for t in each]
        alone = [100 * t.scratch[METRIC] for t in each]
        p = f"{paired_p(taught, alone):.3f}" if len(each) > 1 else ABSENT
        rows += [
            [name, _tokens(each), _shown(taught), _share(taught, elders), p],
            [without, _tokens(each), _shown(alone), _share(alone, elders), ABSENT],
        ]
    head = ("agent", "tokens of an elder", "probe accuracy", "of the elders'", "p, taught or not")
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
    preset: Annotated[str, typer.Option(help="Size of the new agent.")] = "tiny",
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = RESULTS,
) -> None:
    """Let new agents join societies, and write the page."""
    found: list[Newcomers] = []
    with TemporaryDirectory(prefix="agentos-") as folder:
        for seed in range(seeds):
            found.append(one(seed, preset, Path(folder)))
            typer.echo(f"seed {seed}\n{table(preset, found[-1:])}")
    about = (
        f"{seeds} societies of 4 nano agents on a ring, docstrings of six libraries in equal parts, 6 rounds "
        "of 40 steps, exchange anchor_similarity about 1,024 public anchors. A new agent takes a quarter of "
        "an elder's steps, on all text but the anchors and what is held out; the one from scratch reads the "
        "anchors as text too. A copy begins with the weights of the first elder, and takes as many steps. "
        "Accuracy of a linear probe on held-out docstrings, in points, mean ± "
        "half-width of a 95 % Student interval over societies; p of a paired t-test."
    )
    parts = ["# What a new agent reaches", f"`{command('learning.newcomers')}`", about]
    page = results / "newcomers.md"
    page.write_text("\n\n".join([*parts, table(preset, found)]) + "\n", encoding="utf-8")
    typer.echo(str(page))


if __name__ == "__main__":
    typer.run(main)
