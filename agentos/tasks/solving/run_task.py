"""``solve``: a society is made for a task, works on its test split, and is compared with its baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from agentos.records.atomic_files import replacing, write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.records.layout import LEDGER
from agentos.records.ledger_file import write_ledger
from agentos.tasks.analysis import Analysis
from agentos.tasks.config import Auto, Task
from agentos.tasks.cooperation import NOT_ASKED, SILENT, Outcome
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.society.fitted_society import SINGLE, FittedSociety
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.solving.kind_outcome import LEXICAL
from agentos.tasks.solving.lexical_baseline import lexical_probabilities
from agentos.tasks.solving.optional_ways import further_ways
from agentos.tasks.solving.scores import Scores, score
from agentos.tasks.solving.work_folder import ANSWERS, EMBEDDINGS, RESULTS, claim
from agentos.tasks.solving.workbench import Bench, Workbench, cards_of
from agents.answering.defer import oracle
from protocols.errors import HostLost

ANALYSIS = "analysis.json"


@dataclass(frozen=True)
class Line:
    """One way to answer the test split, as measured.

    Attributes:
        name: the architecture, or `LEXICAL`.
        scores: its quality.
        flops, payload_bytes, simulated_s, measured_s: of a query; simulated with all queries asked at once,
            measured on one core.
        asked: agents asked for a query, in the mean.
    """

    name: str
    scores: Scores
    flops: float
    payload_bytes: float
    simulated_s: float
    measured_s: float
    asked: float


@dataclass(frozen=True)
class Solved:
    """The outcome of `solve`.

    Attributes:
        directory: its folder.
        society: the fitted society.
        analysis: of the task, on ``fit``; None where one model was selected.
        lines: every way to answer, the lexical one first.
        best_agent: name of the agent that works alone.
        queries: texts of the test split.
        fitted: texts of the split that agents were fitted on.
        oracle: FLOPs and accuracy of a deferral from the cheapest to the dearest agent that knows all labels,
            at growing budgets; for a picture.
        notes: a sentence on each further way to answer that was asked for: is it used, and why?
    """

    directory: Path
    society: FittedSociety
    analysis: Analysis | None
    lines: tuple[Line, ...]
    best_agent: str
    queries: int
    fitted: int
    oracle: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()

    def line(self, name: str) -> Line | None:
        """Return the line of an architecture; None if faults left it without an answer."""
        return next((line for line in self.lines if line.name == name), None)

    @property
    def verdict(self) -> str:
        """Return one sentence: was one agent enough?"""
        chosen, single = self.line(self.society.chosen), self.line(SINGLE)
        assert chosen is not None  # it answered, or `solve` raised
        if single is None:
            right = f"{chosen.scores.accuracy:.1%}"
            return f"One agent was not enough: {self.best_agent} was lost; {chosen.name} is right in {right}."
        alone = (
            f"{self.best_agent} alone is right in {single.scores.accuracy:.1%} of the test texts"
        )
        together = [line for line in self.lines if line.name not in (LEXICAL, SINGLE)]
        if chosen.name == SINGLE and together:
            chosen = max(together, key=lambda line: line.scores.accuracy)
            answer = "One agent is enough, as far as `calibrate` tells"
        elif chosen.name == SINGLE:
            return f"One agent is enough: {alone}."
        elif chosen.scores.accuracy > single.scores.accuracy:
            answer = "One agent was not enough"
        else:
            answer = "One agent would have been enough"
        gain = 100 * (chosen.scores.accuracy - single.scores.accuracy)
        times = chosen.flops / single.flops if single.flops else float("nan")
        return (
            f"{answer}: {alone}, the society ({chosen.name}) in {chosen.scores.accuracy:.1%}, "
            f"{gain:+.1f} points at {times:.2f} times its FLOPs."
        )


def analyse_only(
    config: Task, directory: Path, progress: Callable[[str], None], address: str | None
) -> Analysis:
    """Analyse a task with the models that would be selected; see `solve`."""
    with _at_work(config, directory, progress, address) as work:
        models = work.select().models
        work.read_all(models)
        analysis = work.analyse(models)
        write_json(directory / ANALYSIS, analysis.as_json(), indent=2)
        return analysis


def solve(
    config: Task,
    directory: Path,
    progress: Callable[[str], None] = lambda _: None,
    address: str | None = None,
) -> Solved:
    """Make a society for a task, let it work on the test split, and record everything.

    Args:
        config: the task, the models and the ways to cooperate.
        directory: folder of the records; one of the same configuration is used again.
        progress: called with a message at each step.
        address: the Ray cluster to join.

    Raises:
        AgentOSError: a source, a model or the folder cannot be used.
    """
    with _at_work(config, directory, progress, address) as work:
        models = work.select().models
        work.read_all(models)
        analysis = work.analyse(models) if len(models) > 1 else None
        if analysis is not None:
            write_json(directory / ANALYSIS, analysis.as_json(), indent=2)
        society, order = work.fit(models)
        if len(models) > 1:
            progress("Comparing architectures")
            society = _chosen(work, society, order)
        society, notes = further_ways(work, society, order)
        save_society(society, directory / SOCIETY)
        progress("Answering the test texts")
        solved = _tested(work, society, order, analysis, directory)
        solved = replace(solved, notes=notes)
        write_json(directory / RESULTS, results_of(solved), indent=2)
        return solved


def _chosen(work: Workbench, society: FittedSociety, order: list[int]) -> FittedSociety:
    wanted = work.config.topology
    if not isinstance(wanted, Auto):
        return society.choosing(wanted.build(len(order), work.config.seed).family)
    return work.choose(society, order)


def _tested(
    work: Workbench,
    society: FittedSociety,
    order: list[int],
    analysis: Analysis | None,
    directory: Path,
) -> Solved:
    queries, embed = work.bench.queries("test"), work.embed(order)
    codes = work.bench.codes[queries.ids]
    lines = [_lexical(work, codes)]
    seconds = np.array([work.seconds[model] for model in order])
    for name in society.architectures:
        began = time.perf_counter()
        try:
            outcome = society.answer(queries, embed, name, faulty=True)
        except HostLost:
            if name == society.chosen:
                raise
            continue  # the fault script left no agent to answer
        own = time.perf_counter() - began
        asked = outcome.said != NOT_ASKED
        measured = float((asked @ seconds).sum() + own) / len(codes)
        lines.append(
            Line(
                name,
                score(outcome.answers.probabilities, codes),
                float(outcome.flops.mean()),
                float(outcome.payload_bytes.mean()),
                outcome.simulated_s / len(codes),
                measured,
                float(asked.sum(axis=1).mean()),
            )
        )
        if name == society.chosen:
            _record(work, society, outcome, codes, directory)
    best = society.members[0].card.name
    ends = _oracle(work, society, order, codes)
    fitted = len(work.bench.rows("fit"))
    return Solved(directory, society, analysis, tuple(lines), best, len(codes), fitted, ends)


def _oracle(
    work: Workbench, society: FittedSociety, order: list[int], codes: NDArray[np.int64]
) -> tuple[tuple[float, float], ...]:
    panel, queries = society.panel(work.embed(order)), work.bench.queries("test")
    cost = [member.card.flops(panel.length) for member in panel.members]
    cheap, dear = int(np.argmin(cost)), int(np.argmax(cost))
    if cheap == dear:
        return ()
    (small, spent), (large, more) = (panel.answer(agent, queries) for agent in (cheap, dear))
    points = []
    for budget in np.linspace(0.0, 1.0, 11):
        passes = oracle(small, large, codes, float(budget))
        right = np.where(passes, large.right(codes), small.right(codes))
        flops = spent.mean() + (more * passes).mean()
        points.append((float(flops), float(right.mean())))
    return tuple(points)


def _lexical(work: Workbench, codes: NDArray[np.int64]) -> Line:
    bench, words = work.bench, work.config.task.max_length
    fit, test = bench.rows("fit"), bench.rows("test")
    began = time.perf_counter()
    found = lexical_probabilities(
        [" ".join(texts) for texts in bench.texts(fit)],
        bench.codes[fit],
        [" ".join(texts) for texts in bench.texts(test)],
        words,
    )
    taken = (time.perf_counter() - began) / len(test)
    return Line(LEXICAL, score(found, codes), 0.0, 0.0, 0.0, taken, 0.0)


def _record(
    work: Workbench,
    society: FittedSociety,
    outcome: Outcome,
    codes: NDArray[np.int64],
    directory: Path,
) -> None:
    """Write what was asked, said and decided about each test text, and the ledger."""
    names = [member.card.name for member in society.members]
    classes = society.classes
    spoken = {SILENT: None, **dict(enumerate(classes))}
    asked, said = [], []
    for row in outcome.said.tolist():
        asked.append([name for name, code in zip(names, row, strict=True) if code != NOT_ASKED])
        said.append([spoken[code] for code in row if code != NOT_ASKED])
    table = pyarrow.table(
        {
            "item": outcome.answers.ids,
            "text": [texts[0] for texts in work.bench.texts(outcome.answers.ids)],
            "label": [classes[code] for code in codes],
            "decided": society.decided(outcome),
            "probability": outcome.answers.probabilities.max(axis=1),
            "asked": pyarrow.array(asked, pyarrow.list_(pyarrow.string())),
            "said": pyarrow.array(said, pyarrow.list_(pyarrow.string())),
            "flops": outcome.flops,
            "bytes": outcome.payload_bytes,
        }
    )
    with replacing(directory / ANSWERS) as draft:
        pyarrow.parquet.write_table(table, draft)
    write_ledger(outcome.ledger, directory / LEDGER)


def results_of(solved: Solved) -> dict[str, Any]:
    """Return what ``results.json`` holds."""
    members = solved.society.members
    return {
        "verdict": solved.verdict,
        "notes": list(solved.notes),
        "chosen": solved.society.chosen,
        "queries": solved.queries,
        "lines": [asdict(line) for line in solved.lines],
        "agents": [
            {
                "name": member.card.name,
                "parameters": member.card.parameters,
                "out_of_fold_accuracy": member.accuracy,
                "fit_flops": member.fit_flops,
                "origin": member.card.origin,
            }
            for member in members
        ],
    }


@contextmanager
def _at_work(
    config: Task, directory: Path, progress: Callable[[str], None], address: str | None
) -> Iterator[Workbench]:
    """Provide what a society is made with: a folder that is ours, hosts that are up, the library's models."""
    progress("Reading text")
    bench = Bench.of(config)
    cards = cards_of(config.library, progress)
    claim(directory, config)
    with alone_in(directory):
        progress("Starting hosts")
        with config.runtime.open(len(cards), address) as session:
            length, threads = config.task.max_length, config.runtime.threads
            encoders = Encoders(session, cards, length, threads, directory / EMBEDDINGS)
            yield Workbench(config, bench, encoders, progress)
