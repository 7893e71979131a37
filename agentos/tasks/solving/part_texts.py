"""Texts of a composite's parts: texts and collections in which the answers of other parts stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from agentos.data.sources import Parquet
from agentos.evaluation.beir import Judged
from agentos.records.atomic_files import replacing
from agentos.tasks.config import AnyTask, CompositeTask, Task
from agentos.tasks.kinds import LabelledKind, Rank, TaskKind
from agentos.tasks.kinds.collections import Beir
from agentos.tasks.resemblance import resembling
from agentos.tasks.society.open_any import answers_of_parts
from agentos.tasks.solving.workbench import Bench
from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

TEXTS, PLAIN = "texts", "-text-alone"
"""Folder of what parts read; what stands after the name of a part that reads the text alone."""


@dataclass
class SeenTexts:
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


def fitted_texts(config: AnyTask, raw: Mapping[str, str]) -> list[str]:
    """Return the texts that a part was fitted to or chose with, as they stood in its source."""
    if not isinstance(config, Task):
        return []  # nothing is fitted
    bench = Bench.of(config)
    rows = np.concatenate([bench.rows("fit"), bench.rows("calibrate")])
    records = [_record(config.task, texts) for texts in bench.texts(rows)]
    return [raw.get(record, record) for record in records]


def fed(
    config: CompositeTask, name: str, directory: Path, texts: SeenTexts, address: str | None
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
        judged_as_read = Judged(
            tuple(read(judged.queries)), tuple(read(judged.corpus)), judged.relevant
        )
        return (
            _reading(part.task, _write_beir(folder / name, judged_as_read)),
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
    task: LabelledKind, texts: SeenTexts, before: Sequence[str], seed: int
) -> tuple[list[str], list[str]]:
    """Return texts that the parts before were not fitted to, and their labels, as many as `limit`."""
    documents = [each for each in task.source.documents() if each.label is not None]
    drawn = generator(seed, "task", "sample").permutation(len(documents)).tolist()
    chosen = [documents[row] for row in drawn[: 3 * task.limit]]
    kept = texts.unseen([each.text for each in chosen], before)[: task.limit]
    _check_left(len(kept))
    return [chosen[row].text for row in kept], [str(chosen[row].label) for row in kept]


def _unseen_queries(task: Rank, texts: SeenTexts, before: Sequence[str], seed: int) -> Judged:
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
