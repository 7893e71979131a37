"""The making of a society for a task: texts are read and divided, models selected and adapted, ways compared.

Legend: N items, D width of features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.analysis import Analysis, analyse, headroom
from agentos.tasks.config import LibraryConfig, Task
from agentos.tasks.cooperation import Embedded, Evidence, Member, Queries
from agentos.tasks.cooperation.panel import Embed
from agentos.tasks.kinds import Items
from agentos.tasks.library import Library, ModelCard, read_cards
from agentos.tasks.library.library_folder import library_file, require_present
from agentos.tasks.resemblance import resembling
from agentos.tasks.selection import Candidates, Choice
from agentos.tasks.society.encoders import Encoded, Encoders
from agentos.tasks.society.fitted_society import SINGLE, FittedSociety, better
from agentos.tasks.splits import TaskSplits, split_task
from agents.answering import Answers, Examples, out_of_fold
from agents.answering.answers import Labels, Split
from agents.answering.distil import Distil
from protocols.errors import ConfigurationError
from protocols.seeding import generator

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """The divided items of a task.

    Attributes:
        items: the items; their ids are their places.
        splits: places of each part.
        classes: names of the classes, in the order of their codes.
        codes: `[N]`, code of each item's label.
        spare: places of the items of ``fit`` beyond the shots, whose labels are never read.
    """

    items: Items
    splits: TaskSplits
    classes: tuple[str, ...]
    codes: Labels
    spare: Labels = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, config: Task) -> Bench:
        """Read and divide the items.

        Raises:
            DataError: the source cannot be read.
            ConfigurationError: there are too few labelled texts.
        """
        items = config.task.read(config.seed)
        groups = resembling([" ".join(texts) for texts in items.texts])
        splits = split_task(items.labels, groups, config.splits, config.seed)
        classes, codes = np.unique(np.asarray(items.labels, dtype=object), return_inverse=True)
        fit = _shots(codes, splits.fit, config.task.shots, config.seed)
        counts = np.bincount(codes[fit], minlength=len(classes))
        if counts.min() < 2:
            raise ConfigurationError(
                f"the class {str(classes[counts.argmin()])[:60]!r} has too few texts to fit on",
                expected="at least 2 in the split `fit`",
                actual=int(counts.min()),
                hint="give more labelled texts, raise splits.fit or task.limit, or leave the class out",
            )
        divided = TaskSplits(fit, splits.calibrate, splits.test)
        spare = np.setdiff1d(splits.fit, fit)
        return cls(items, divided, tuple(map(str, classes)), codes.astype(np.int64), spare)

    def rows(self, split: Split) -> Labels:
        """Return the places of the items of a split."""
        found: Labels = getattr(self.splits, split)
        return found

    def queries(self, split: Split) -> Queries:
        """Return the items of a split as queries."""
        return Queries(split, self.rows(split))

    def texts(self, rows: Labels) -> list[tuple[str, ...]]:
        """Return the texts of some items."""
        return [self.items.texts[row] for row in rows]


@dataclass
class Workbench:
    """Data and models that a society is made with.

    Attributes:
        config: the configuration.
        bench: the items of its task.
        encoders: all models of the library.
        progress: called with a message at each step.
    """

    config: Task
    bench: Bench
    encoders: Encoders
    progress: Progress
    seconds: dict[int, float] = field(default_factory=dict)
    """Measured seconds of a text, by model."""
    _features: dict[int, Embedded] = field(default_factory=dict)

    def select(self) -> Choice:
        """Choose the models that work, from their embeddings of the split ``fit``."""
        cards, selection = self.encoders.cards, self.config.select
        rows = self.bench.rows("fit")
        if selection.needs_embeddings:
            self.progress(f"Embedding {len(rows):,} texts with {len(cards)} models")
            found = self._embed(range(len(cards)), rows)
            embeddings = tuple(found[model].features for model in range(len(cards)))
        else:
            embeddings = ()
        candidates = Candidates(
            tuple(card.origin for card in cards),
            tuple(card.parameters for card in cards),
            embeddings,
            self.bench.codes[rows],
        )
        return selection.choose(candidates, self.config.seed)

    def read_all(self, models: Sequence[int]) -> None:
        """Embed every split with the chosen models, and the spare texts where they are learnt from."""
        read = [self.bench.rows(split) for split in ("fit", "calibrate", "test")]
        if isinstance(self.config.adapt, Distil):
            read.append(self.bench.spare)
        every = np.sort(np.concatenate(read))
        self.progress(f"Embedding {len(every):,} texts with {len(models)} models")
        for model, embedded in self._embed(models, every).items():
            place = np.full(len(self.bench.items), -1)
            place[every] = np.arange(len(every))
            features = embedded.features[place]
            self._features[model] = Embedded(features, embedded.tokens[place])

    def features(self, model: int, rows: Labels) -> Embedded:
        """Return what a chosen model read of some items."""
        known = self._features[model]
        return Embedded(known.features[rows], known.tokens[rows])

    def analyse(self, models: Sequence[int]) -> Analysis:
        """Analyse the task on the split ``fit``."""
        rows, cards = self.bench.rows("fit"), self.encoders.cards
        return analyse(
            [" ".join(texts) for texts in self.bench.texts(rows)],
            [self.bench.classes[code] for code in self.bench.codes[rows]],
            {cards[m].name: self.features(m, rows).features for m in models},
            [cards[m].origin for m in models],
            self.config.seed,
        )

    def fit(self, models: Sequence[int]) -> tuple[FittedSociety, list[int]]:
        """Adapt the models, fit all architectures; return the society, and the model of each agent."""
        members, order, evidence = self.adapted(models)
        return FittedSociety.fitted(self.config, members, self.bench.classes, evidence), order

    def adapted(self, models: Sequence[int]) -> tuple[list[Member], list[int], Evidence]:
        """Adapt the models; return the agents, the model of each, and what architectures are fitted to."""
        self.progress("Fitting heads, fusions and deferrals")
        made = [(model, *self._member(model)) for model in models]
        made.sort(key=lambda each: (-each[1].accuracy, each[0]))
        order = [model for model, _, _ in made]
        members = [member for _, member, _ in made]
        calibrate = self.bench.queries("calibrate")
        answers = [
            member.head.answer(
                Examples("calibrate", calibrate.ids, self.features(model, calibrate.ids).features),
                member.card.origin,
            )
            for model, member, _ in made
        ]
        evidence = Evidence(
            tuple(answers for _, _, answers in made),
            self.bench.codes[self.bench.rows("fit")],
            tuple(answers),
            self.bench.codes[calibrate.ids],
            self.config.fuse,
            self.config.seed,
        )
        return members, order, evidence

    def embed(self, order: Sequence[int]) -> Embed:
        """Return the encoders of a society's agents, on what was embedded already."""
        return lambda agent, ids: self.features(order[agent], ids)

    def choose(self, society: FittedSociety, order: Sequence[int]) -> FittedSociety:
        """Compare the architectures on ``calibrate``; return the society with the one that answers best.

        One agent is enough unless a way to cooperate beats it beyond doubt; see `headroom`.
        """
        queries = self.bench.queries("calibrate")
        right: dict[str, NDArray[np.bool_]] = {}
        flops: dict[str, float] = {}
        for name in society.architectures:
            outcome = society.answer(queries, self.embed(order), name)
            right[name] = outcome.answers.right(self.bench.codes[queries.ids])
            flops[name] = float(outcome.flops.mean())
        together = max((name for name in right if name != SINGLE), key=lambda n: right[n].mean())
        found = headroom(right[together], right[SINGLE][None])
        return society.choosing(better(right, flops, found.one_is_enough))

    def _member(self, model: int) -> tuple[Member, Answers]:
        card, rows = self.encoders.cards[model], self.bench.rows("fit")
        read, labels = self.features(model, rows), self.bench.codes[rows]
        examples = Examples("fit", rows, read.features)
        adapt, seed, classes = self.config.adapt, self.config.seed, len(self.bench.classes)
        head = adapt.fit(examples, labels, classes, seed)
        held = out_of_fold(adapt, examples, labels, classes, card.origin, seed=seed)
        accuracy = float(held.answers.right(labels).mean())
        embedding = float(read.tokens.sum()) * card.flops(self.config.task.max_length)
        fitting = head.fit_flops + held.flops + embedding
        return Member(card, head, accuracy, fitting), held.answers

    def _embed(self, models: Sequence[int], rows: Labels) -> dict[int, Embedded]:
        items = self.bench.texts(rows)
        parts = len(items[0])
        flat = [texts[part] for part in range(parts) for texts in items]
        found = self.encoders.embed(dict.fromkeys(models, flat))
        for model, encoded in found.items():
            self.seconds[model] = encoded.seconds / len(rows)
        return {m: self._joined(encoded, len(rows)) for m, encoded in found.items()}

    def _joined(self, encoded: Encoded, count: int) -> Embedded:
        parts = [encoded.rows[i : i + count] for i in range(0, len(encoded.rows), count)]
        tokens = encoded.tokens.reshape(-1, count).sum(axis=0)
        return Embedded(self.config.task.features(parts), tokens)


def cards_of(library: LibraryConfig, progress: Progress) -> tuple[ModelCard, ...]:
    """Return the cards of all models of a library.

    Raises:
        ConfigurationError: a folder is neither a run nor a model, or two models have one name.
        ModelError: a model cannot be used.
        RecordError: a run folder is damaged.
    """
    found = Library()
    if library.folder is not None:
        found = Library.load(library_file(Path(library.folder)))
    for folder in (*library.runs, *library.models):
        progress(f"Reading {folder}")
        found = found.add(read_cards(Path(folder)))
    if not found.cards:
        raise ConfigurationError(
            "the library of the task is empty",
            expected="a run, a model, or a library folder with models",
            hint="name some in library.runs or library.models, or add some by 'agentos library add'",
        )
    require_present(found)
    return found.cards


def _shots(codes: Labels, rows: Labels, shots: int | None, seed: int) -> Labels:
    """Return at most so many texts of each class, drawn with the run's seed."""
    if shots is None:
        return rows
    kept = []
    for code in np.unique(codes[rows]):
        mine = rows[codes[rows] == code]
        kept.append(generator(seed, "task", "shots", int(code)).permutation(mine)[:shots])
    chosen: Labels = np.sort(np.concatenate(kept))
    return chosen
