"""The gain of cooperation in the first run, over seeds: `agentos run quickstart`, repeated.

Every run holds its own controls: the same agents alone and by self-training, from the same weights, for the
same number of steps. So a gain is paired by seed and agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from agentos import Result, RunConfig, Simulation
from agentos.cli.display.progress import LiveDisplay
from agentos.config.load import load
from agentos.records.layout import SUMMARY, agent_name
from agentos.records.reader import load_run
from agentos.reporting.statistics import interval
from experiments.studies.cooperation.lexical_labels import ALONE, POOLED, VOTE, label_rows
from experiments.studies.running import command
from protocols.errors import RecordError

UNSEEN = 4
"""The first of the seeds that were not looked at while the setting was chosen."""
METRIC, JOINT = "own_labels_accuracy", "joint_own_labels_accuracy"
CONTROLS = {"alone": "isolated", "self-training": "self_training"}


def result_of(directory: Path, overrides: Sequence[str], console: Console) -> Result:
    """Return the result of a run, from its folder if it has finished there.

    Raises:
        RecordError: the folder holds another run, or one that did not finish.
    """
    config = load("quickstart", list(overrides))
    if not (directory / SUMMARY).exists():
        with LiveDisplay(console, config) as listener:
            Simulation(config, out=directory, listener=listener).run()
    record = load_run(directory)
    summary = record.summary or {}
    # Through the model: a record from before a field was added lacks its default.
    recorded = RunConfig.model_validate(record.config)
    if not _agree(config, recorded) or summary.get("status") != "finished":
        raise RecordError(
            f"{directory} does not hold this run, finished",
            expected="the present configuration of quickstart, and a finished run",
            actual=f"another configuration, or the status {summary.get('status')}",
            hint="remove the folder, or name another with --runs",
        )
    return Result.model_validate({**summary, "directory": directory})


def _agree(config: RunConfig, recorded: RunConfig) -> bool:
    """Return whether a record is of a configuration, wherever its agents lived and were written.

    A record names the precision that was chosen where the configuration leaves it open. How often health was
    checked is compared in rounds.
    """
    apart: Any = {"runtime": True, "checkpoints": True, "health": {"every", "share"}}
    asked, found = (each.model_dump(exclude=apart) for each in (config, recorded))
    if config.health_interval != recorded.health_interval:
        return False
    if config.training.precision == "auto":
        asked["training"]["precision"] = found["training"]["precision"]
    return asked == found


def values(results: Sequence[Result], arm: str, metric: str) -> NDArray[np.float64]:
    """Return a metric of an arm for every seed and agent, `[seeds, agents]`.

    Args:
        results: one result per seed.
        arm: ``together``, or the field of a baseline.
        metric: name of the metric.
    """
    found = []
    for result in results:
        quality = result if arm == "together" else getattr(result, arm)
        names = [agent_name(agent) for agent in range(len(result.agents))]
        found.append([quality.agents[name][metric] for name in names])
    return np.array(found)


def lexical(results: Sequence[Result], overrides: Sequence[str]) -> str:
    """Return the accuracy of TF-IDF with logistic regression in place of the agents, in a table."""
    seeds = [load("quickstart", [*overrides, f"seed={result.seed}"]) for result in results]
    rows = [{str(row["arm"]): row for row in label_rows(config)} for config in seeds]
    titles = {
        ALONE: "each agent's own labels, mean agent",
        VOTE: "the vote of these models",
        POOLED: "all labels at one place",
    }
    lines = ["| TF-IDF and logistic regression on | accuracy |", "| --- | --- |"]
    for arm, title in titles.items():
        found = interval([float(each[arm][f"{METRIC}.mean"]) for each in rows])
        lines.append(f"| {title} | {found.mean:.3f} ± {found.half_width:.3f} |")
    return "\n".join(lines)


def table(results: Sequence[Result], names: Sequence[str]) -> str:
    """Return the table of every agent's mean accuracy and its gain over the better control."""
    arms = {name: values(results, field, METRIC) for name, field in CONTROLS.items()}
    together = values(results, "together", METRIC)
    asked = {
        "all asked, alone": values(results, "isolated", JOINT),
        "all asked, together": values(results, "together", JOINT),
    }
    columns = {**arms, "together": together, **asked}
    gains = {name: together - control for name, control in arms.items()}
    heads = [*columns, *(f"over {name}" for name in gains), "seeds that gain over both"]
    lines = ["| agent | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    both = np.minimum(*gains.values())
    for agent, name in enumerate(names):
        cells = [f"{column[:, agent].mean():.3f}" for column in columns.values()]
        cells += [_spread(gain[:, agent]) for gain in gains.values()]
        cells.append(f"{int((both[:, agent] > 0).sum())} of {len(results)}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    cells = [f"**{column.mean():.3f}**" for column in columns.values()]
    cells += [f"**{_spread(gain.mean(axis=1))}**" for gain in gains.values()]
    cells.append(f"{int((both > 0).sum())} of {both.size}")
    lines.append("| mean of agents | " + " | ".join(cells) + " |")
    cells = [f"{column.min(axis=1).mean():.3f}" for column in columns.values()]
    worst = [together.min(axis=1) - control.min(axis=1) for control in arms.values()]
    cells += [*map(_spread, worst), ""]
    lines.append("| worst agent | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(results: Sequence[Result], names: Sequence[str], words: str, origin: str) -> str:
    """Return the page of results; `words` is the table of `lexical`."""
    sent = float(np.mean([result.bytes.total for result in results]))
    return (
        f"# The first run, over {len(results)} seeds\n\n`{origin}`\n\n"
        "Accuracy of each agent's own classifier on held-out docstrings (`agentos run quickstart`): trained "
        "alone with the anchors as text, by self-training on its own votes, and together. *All asked*: the "
        "mean of all agents' answers. Gains are paired by seed and agent, ± a 95 % Student interval over "
        f"seeds. Messages of a run take {sent / 1e6:.2f} MB.{_apart(results)}\n\n{table(results, names)}\n\n"
        "Words alone, on the same labels and documents, cut to as many words as the agents see tokens:\n\n"
        f"{words}\n"
    )


def _apart(results: Sequence[Result]) -> str:
    """Return a sentence on the seeds that had no part in choosing the setting; none without two of them."""
    unseen = [result for result in results if result.seed >= UNSEEN]
    if len(unseen) < 2:
        return ""
    together = values(unseen, "together", METRIC)
    gains = {name: together - values(unseen, field, METRIC) for name, field in CONTROLS.items()}
    told = " and ".join(f"{_spread(gain.mean(axis=1))} over {name}" for name, gain in gains.items())
    return (
        f" The setting was chosen while looking at seeds below {UNSEEN}; the other {len(unseen)} gain "
        f"{told}."
    )


def _spread(gains: NDArray[np.float64]) -> str:
    found = interval(gains.tolist())
    return f"{found.mean:+.3f} ± {found.half_width:.3f}"


def main(
    override: Annotated[
        list[str] | None, typer.Argument(metavar="KEY.PATH=VALUE", help="Fields of the run.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Number of seeds.")] = 10,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/first_run"),
    results: Annotated[Path, typer.Option(help="File to write.")] = Path(
        "experiments/results/first_run.md"
    ),
) -> None:
    """Repeat the first run under several seeds; write the table of every agent's gain."""
    console = Console()
    found = []
    for seed in range(first, first + seeds):
        chosen = [*(override or ()), f"seed={seed}", "runtime.kind=local"]
        found.append(result_of(runs / f"seed-{seed}", chosen, console))
    names = load_run(found[0].directory).names
    text = page(found, names, lexical(found, override or ()), command("cooperation.first_run"))
    results.write_text(text, encoding="utf-8")
    console.print(text, markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
