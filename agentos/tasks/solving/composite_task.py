"""``solve`` for composites: parts in the order of their graph, each reading what those before it answer.

A part answers texts that it was fitted to, or chose with, better than new ones. So such a text is never
fitted to, chosen with or tested on by a part that reads its answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from agentos.data.sources import Parquet
from agentos.evaluation.beir import Judged
from agentos.records.atomic_files import replacing, write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.tasks.config import CONFIGURATIONS, AnyTask, CompositeTask, Task, Work
from agentos.tasks.kinds import Generate, LabelledKind, Rank, TaskKind
from agentos.tasks.kinds.collections import Beir
from agentos.tasks.resemblance import resembling
from agentos.tasks.society.open_any import answers_of_parts
from agentos.tasks.society.parts_society import PartsInOrder, part_folder
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.solving.outcome import Finished
from agentos.tasks.solving.run_task import Solved
from agentos.tasks.solving.work_folder import RESULTS, claim
from agentos.tasks.solving.workbench import Bench, Progress
from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

TEXTS, PLAIN = "texts", "-text-alone"
"""Folder of what parts read; what stands after the name of a part that reads the text alone."""
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
            beside = f", {alone} from the text alone" if alone else ""
            said.append(f"{part.name} reaches {measure} {found}{beside}")
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


@dataclass
class _Texts:
    """Texts of parts that were fitted, as they stood in their sources."""

    known: dict[str, list[str]] = field(default_factory=dict)
    """Those that a part was fitted to or chose with, by part."""

    def unseen(self, texts: Sequence[str], parts: Sequence[str]) -> list[int]:
        """Return the places of texts that no text of some parts is a near duplicate of."""
        fitted = [text for part in parts for text in self.known.get(part, ())]
        if not fitted:
            return list(range(len(texts)))
        groups = resembling([*fitted, *texts])
        seen = set(groups[: len(fitted)].tolist())
        return [
            place for place, group in enumerate(groups[len(fitted) :].tolist()) if group not in seen
        ]


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
    texts, solved = _Texts(), list[SolvedPart]()
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
                task, bare, raw = _fed(config, name, directory, texts, address)
                plain = of(bare, f"{name}{PLAIN}")
            found = of(task, name)
            texts.known[name] = _fitted(configuration_of(config, name, task), raw)
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


def _fitted(config: AnyTask, raw: Mapping[str, str]) -> list[str]:
    """Return the texts that a part was fitted to or chose with, as they stood in its source."""
    if not isinstance(config, Task):
        return []  # nothing is fitted
    bench = Bench.of(config)
    rows = np.concatenate([bench.rows("fit"), bench.rows("calibrate")])
    records = [_record(config.task, texts) for texts in bench.texts(rows)]
    return [raw.get(record, record) for record in records]


def _fed(
    config: CompositeTask, name: str, directory: Path, texts: _Texts, address: str | None
) -> tuple[TaskKind, TaskKind, dict[str, str]]:
    """Write what a part reads; return the part that reads it, and one that reads the text alone.

    Returns:
        Both tasks, and the text that each text it reads was made from.
    """
    part, order = config.task.parts[name], config.task.order
    before = [each for each in order if each in config.task.before(name)]
    folder = directory / TEXTS

    def read(raws: Sequence[str]) -> list[str]:
        answers = answers_of_parts(config.task, before, directory, raws, address)
        return [
            part.reading(raw, {each: answers[each][row].label for each in part.after})
            for row, raw in enumerate(raws)
        ]

    if isinstance(part.task, Rank):
        judged = _unseen_queries(part.task, texts, before, config.seed)
        fed = Judged(tuple(read(judged.queries)), tuple(read(judged.corpus)), judged.relevant)
        return (
            _reading(part.task, _write_beir(folder / name, fed)),
            _reading(part.task, _write_beir(folder / f"{name}{PLAIN}", judged)),
            {},
        )
    assert isinstance(part.task, LabelledKind)
    raws, labels = _unseen_items(part.task, texts, before, config.seed)
    written = read(raws)
    return (
        _reading(part.task, _write_parquet(folder / f"{name}.parquet", written, labels)),
        _reading(part.task, _write_parquet(folder / f"{name}{PLAIN}.parquet", raws, labels)),
        dict(zip(written, raws, strict=True)),
    )


def _reading(task: TaskKind, source: Spec) -> TaskKind:
    """Return a part that reads another source."""
    return task.model_copy(update={"source": source})


def _unseen_items(
    task: LabelledKind, texts: _Texts, before: Sequence[str], seed: int
) -> tuple[list[str], list[str]]:
    """Return texts that the parts before were not fitted to, and their labels, as many as `limit`."""
    documents = [each for each in task.source.documents() if each.label is not None]
    drawn = generator(seed, "task", "sample").permutation(len(documents)).tolist()
    chosen = [documents[row] for row in drawn[: 3 * task.limit]]
    kept = texts.unseen([each.text for each in chosen], before)[: task.limit]
    _check_left(len(kept))
    return [chosen[row].text for row in kept], [str(chosen[row].label) for row in kept]


def _unseen_queries(task: Rank, texts: _Texts, before: Sequence[str], seed: int) -> Judged:
    """Return a collection without the queries that the parts before were fitted to."""
    judged = task.source.read()
    kept = texts.unseen(judged.queries, before)
    _check_left(len(kept))
    drawn = generator(seed, "task", "sample").permutation(len(kept))[: task.queries]
    rows = [kept[row] for row in sorted(drawn.tolist())]
    queries = tuple(judged.queries[row] for row in rows)
    return Judged(queries, judged.corpus, tuple(judged.relevant[row] for row in rows))


def _check_left(count: int) -> None:
    if count < 10:
        raise ConfigurationError(
            "a part is left with too few texts",
            expected="at least 10 that no part was fitted to whose answers it reads",
            actual=count,
            hint="give the parts different sources, or more texts",
        )


def _record(task: LabelledKind, texts: Sequence[str]) -> str:
    return getattr(task, "separator", " ").join(texts)


def _write_parquet(path: Path, texts: Sequence[str], labels: Sequence[str]) -> Parquet:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels}), draft)
    return Parquet(path=str(path), text="text", label="label")


def _write_beir(folder: Path, judged: Judged) -> Beir:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for file, texts in (("corpus.jsonl", judged.corpus), ("queries.jsonl", judged.queries)):
        lines = (json.dumps({"_id": str(n), "text": text}) for n, text in enumerate(texts))
        with replacing(folder / file) as draft:
            draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [
        f"{query}\t{document}\t{grade}"
        for query, relevant in enumerate(judged.relevant)
        for document, grade in relevant.items()
    ]
    with replacing(folder / "qrels" / "test.tsv") as draft:
        draft.write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n", encoding="utf-8")
    return Beir(path=str(folder))
