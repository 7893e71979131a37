"""Output of the command line, in a terminal and without one."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from agentos import RunConfig
from agentos.cli.display.error_text import show_error
from agentos.cli.display.outcome_tables import show_outcome
from agentos.cli.display.progress import LiveDisplay
from agentos.cli.runs.compare import show_comparison
from agentos.config.field_errors import InvalidConfiguration
from agentos.data.printable_text import Problem
from agentos.events import Listener, Listeners
from agentos.records.reports import RoundReport
from agentos.reporting.comparison import compare
from protocols.errors import DataError


@pytest.fixture
def screen() -> Console:
    """No terminal: a pipe, or a log file."""
    return Console(file=io.StringIO(), width=120, force_terminal=False)


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)


def text_of(console: Console) -> str:
    """Return what was written, without the codes that move the cursor."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", console.file.getvalue())


def report(round: int, arm: str = "together", rounds: int = 4, **metrics: float) -> RoundReport:
    by_agent = {agent: dict(metrics) for agent in range(2)}
    return RoundReport(arm, round, rounds, by_agent, {}, 1.0, 2_000_000)


def corpus(agents: int) -> Any:
    counts = {"train": 1234, "anchors": 32, "heldout": 60, "duplicates": 5, "across": 3}
    names = tuple(f"lib[{agent}]" for agent in range(agents))
    return SimpleNamespace(counts=counts, names=names, shards=(np.arange(7),) * agents)


def test_lines_without_a_terminal(small: Callable[..., RunConfig], screen: Console) -> None:
    config = small()
    with LiveDisplay(screen, config) as display:
        display.on_stage("Reading text")
        display.on_corpus(corpus(3))
        display.on_round(report(0))
        display.on_round(report(1, loss=1.5))
    header, text, across, agents, before, first = text_of(screen).splitlines()
    assert header == "small: 4 agents, ring, anchor_contrast, seed 0"
    assert text == (
        "text: 1,234 private documents, 32 public anchors, 60 held out; left out: 5 duplicates"
    )
    assert across.startswith("about 3 of the duplicates would otherwise have put")
    assert agents == "documents per agent: lib[0] 7, lib[1] 7, lib[2] 7"
    assert before.split(" s  ")[1] == "together: round 0/4  2.00 MB"
    assert first.split(" s  ")[1] == "together: round 1/4  loss 1.500  2.00 MB"


def test_crowd_of_agents_is_not_listed(small: Callable[..., RunConfig], screen: Console) -> None:
    LiveDisplay(screen, small()).on_corpus(corpus(50))
    assert "documents per agent" not in text_of(screen)


def test_bar_in_a_terminal_covers_both_arms(
    small: Callable[..., RunConfig], terminal: Console
) -> None:
    with LiveDisplay(terminal, small()) as display:
        display.on_stage("Reading text: 1,000")
        display.on_round(report(2, rounds=2, loss=0.5))
        (bar,) = display._progress.tasks
        assert (bar.completed, bar.total) == (2, 4)
        display.on_round(report(1, arm="isolated", rounds=2, loss=0.25))
        assert (bar.completed, bar.description) == (3, "isolated")
        display._progress.refresh()
    shown = text_of(terminal)
    assert "round 1/2  loss 0.250  2.00 MB" in shown


def test_bar_covers_one_arm_where_there_is_no_baseline(
    small: Callable[..., RunConfig], terminal: Console
) -> None:
    for config in (small(exchange="isolated"), small(baseline={"isolated": False})):
        (bar,) = LiveDisplay(terminal, config)._progress.tasks
        assert bar.total == config.training.rounds


def test_closing_twice_does_nothing(small: Callable[..., RunConfig], terminal: Console) -> None:
    with LiveDisplay(terminal, small()) as display:
        display.close()


def test_result_shows_every_agent_before_alone_and_together(finished: Any, screen: Console) -> None:
    show_outcome(screen, finished.directory)
    shown = text_of(screen)
    result = finished.result
    for title in ("MRR (higher is better)", "Recall@10 (higher", "Probe accuracy (higher"):
        assert title in shown
    mean = next(line for line in shown.splitlines() if "mean" in line)
    figures = [float(cell) for cell in re.findall(r"\d\.\d+", mean)]
    arms = (result.before, result.isolated, result)
    assert figures == [
        *(pytest.approx(arm.mean["mrr"], abs=5e-4) for arm in arms),
        *(pytest.approx(arm.mean["centered_mrr"], abs=5e-4) for arm in arms[1:]),
    ]
    assert shown.count("centred") == 4  # two columns of MRR and of Recall@10, none of the probe
    assert all(f"agent-{agent}" in shown for agent in range(4))
    assert f"tokens trained {result.tokens:,} | steps per agent 4 |" in shown
    assert f"records: {finished.directory}" in shown
    assert f"report:  {finished.directory / 'report.html'}" in shown


def test_comparison_leaves_out_what_no_run_has(finished: Any, screen: Console) -> None:
    show_comparison(screen, compare([finished.directory] * 2))
    shown = text_of(screen)
    assert "Probe accuracy ↑ mean" in shown
    assert shown.index("MRR ↑ mean") < shown.index("MRR, centred ↑ mean") < shown.index("Recall")
    assert "RankMe" not in shown


def test_comparison_names_a_topology_that_differs_once(finished: Any, screen: Console) -> None:
    found = compare([finished.directory] * 2)
    config = {**found.runs[1].config, "topology": {"kind": "complete"}}
    runs = (found.runs[0], replace(found.runs[1], config=config))
    rows = (found.rows[0], {**found.rows[1], "topology": "complete"})
    show_comparison(screen, replace(found, runs=runs, rows=rows))
    assert text_of(screen).count("topology") == 1


def test_error_shows_what_was_expected_given_and_the_hint(screen: Console) -> None:
    show_error(screen, DataError("no [file]", expected="a [b]file[/b]", actual=3, hint="fix it"))
    assert text_of(screen).splitlines() == [
        "error no [file]",
        "  expected: a [b]file[/b]",
        "  given: 3",
        "  hint: fix it",
    ]


def test_problems_are_shown_one_by_one(screen: Console) -> None:
    first = Problem("a.b", "unknown key", allowed="c, d", closest="c")
    second = Problem("e.0", "must be a list", given="[f]")
    show_error(screen, InvalidConfiguration("run[1].yaml", [first, second]))
    assert text_of(screen).splitlines() == [
        "invalid configuration run[1].yaml",
        "  a.b: unknown key",
        "    allowed: c, d",
        "    did you mean: c",
        "  e.0: must be a list",
        "    given: [f]",
    ]


def test_listeners_are_told_in_order(small: Callable[..., RunConfig]) -> None:
    told: list[Any] = []

    class Told(Listener):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_stage(self, what: str) -> None:
            told.append((self.name, what))

        def on_corpus(self, corpus: Any) -> None:
            told.append((self.name, corpus))

        def on_round(self, report: RoundReport) -> None:
            told.append((self.name, report.round))

    both = Listeners(Told("first"), Listener(), Told("second"))
    both.on_stage("Reading")
    both.on_corpus("corpus")  # type: ignore[arg-type]
    both.on_round(report(3))
    expected = [(name, what) for what in ("Reading", "corpus", 3) for name in ("first", "second")]
    assert told == expected


def test_result_of_a_run_without_evaluation_says_so(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, screen: Console
) -> None:
    from agentos import Simulation

    config = small(evaluation={"tasks": []}, exchange="isolated")
    show_outcome(screen, Simulation(config, out=tmp_path / "run", cache=cache).run().directory)
    assert "Nothing was evaluated in this run." in text_of(screen)
