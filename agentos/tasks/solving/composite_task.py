"""``solve`` for composites: parts in the order of their graph, each reading what those before it answer.

A part answers texts that it was fitted to, or chose with, better than new ones. So such a text is never
fitted to, chosen with or tested on by a part that reads its answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentos.records.atomic_files import write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.tasks.config import CONFIGURATIONS, AnyTask, CompositeTask, Work
from agentos.tasks.kinds import Generate, TaskKind
from agentos.tasks.society.parts_society import PartsInOrder, part_folder
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.solving.kind_outcome import Finished
from agentos.tasks.solving.part_texts import PLAIN, SeenTexts, fed, fitted_texts
from agentos.tasks.solving.run_task import Solved
from agentos.tasks.solving.work_folder import RESULTS, claim
from agentos.tasks.solving.workbench import Progress

SolvePart = Callable[[AnyTask, Path, Progress, str | None], Solved | Finished]


@dataclass(frozen=True)
class SolvedPart:
    """One part of a composite, solved.

    Attributes:
        name, kind: of the part.
        reads: what it reads.
        solved: its outcome.
        plain: the outcome of the same part that reads the text alone; None where that is what it reads.
    """

    name: str
    kind: str
    reads: str
    solved: Solved | Finished
    plain: Solved | Finished | None

    @property
    def quality(self) -> tuple[str, str, str]:
        """The measure, its value, and its value where the text alone is read."""
        measure, found = quality_of(self.solved)
        return measure, found, quality_of(self.plain)[1] if self.plain else ""


@dataclass(frozen=True)
class SolvedParts:
    """The outcome of `solve` for a composite.

    Attributes:
        directory: its folder.
        name: of the task.
        parts: the parts, in order.
    """

    directory: Path
    name: str
    parts: tuple[SolvedPart, ...]

    @property
    def verdict(self) -> str:
        """Return one sentence: what did reading other parts' answers change?"""
        said = []
        for part in self.parts:
            measure, found, alone = part.quality
            without = f", {alone} from the text alone" if alone else ""
            said.append(f"{part.name} reaches {measure} {found}{without}")
        return "; ".join(said) + "."

    def as_json(self) -> dict[str, Any]:
        """Return what ``results.json`` holds."""
        rows = []
        for part in self.parts:
            measure, found, alone = part.quality
            rows.append(
                {
                    "name": part.name,
                    "kind": part.kind,
                    "reads": part.reads,
                    "measure": measure,
                    "value": found,
                    "text_alone": alone or None,
                    "verdict": part.solved.verdict,
                }
            )
        return {"kind": "composite", "verdict": self.verdict, "parts": rows}


def solve_composite(
    config: CompositeTask,
    directory: Path,
    progress: Progress,
    address: str | None,
    solve_part: SolvePart,
) -> SolvedParts:
    """Solve the parts in order, and record everything.

    Args:
        config: the graph, and the models.
        directory: folder of the records; parts get folders in it.
        progress: called with a message at each step.
        address: the Ray cluster to join.
        solve_part: solves one part.

    Raises:
        AgentOSError: a source, a model or the folder cannot be used.
    """
    claim(directory, config)
    texts, solved = SeenTexts(), list[SolvedPart]()
    with alone_in(directory):
        for name in config.task.order:
            part = config.task.parts[name]
            feeds = bool(part.after) and not isinstance(part.task, Generate)

            def report(message: str, name: str = name) -> None:
                progress(f"{name}: {message}")

            def of(task: TaskKind, folder: str) -> Solved | Finished:
                work = configuration_of(config, folder, task)
                return solve_part(work, part_folder(directory, folder), report, address)

            task, plain, raw = part.task, None, dict[str, str]()
            if feeds:
                report("Reading what other parts answer")
                task, bare, raw = fed(config, name, directory, texts, address)
                plain = of(bare, f"{name}{PLAIN}")
            found = of(task, name)
            texts.known[name] = fitted_texts(configuration_of(config, name, task), raw)
            solved.append(SolvedPart(name, task.kind, part.reads, found, plain))
        save_society(PartsInOrder(config), directory / SOCIETY)
        outcome = SolvedParts(directory, config.name, tuple(solved))
        write_json(directory / RESULTS, outcome.as_json(), indent=2)
        return outcome


def configuration_of(config: CompositeTask, name: str, task: TaskKind) -> AnyTask:
    """Return the configuration of a part: that of its kind, with the composite's models and clock."""
    shared = {field: getattr(config, field) for field in Work.model_fields}
    given = {**shared, "name": f"{config.name}.{name}"[:64], "task": task}
    return CONFIGURATIONS[task.kind](**given)


def quality_of(solved: Solved | Finished) -> tuple[str, str]:
    """Return the measure of an outcome and its value, as text."""
    if isinstance(solved, Solved):
        line = solved.line(solved.society.chosen)
        return "accuracy", f"{line.scores.accuracy:.1%}" if line else ""
    way = solved.way(solved.chosen)
    first = solved.measures[0]
    return first.label, first.text(way.measures[first.name]) if way else ""
