"""Compare learners on streams: accuracy at the end, and how much is forgotten on the way.

    python -m experiments.studies.learning.learner_streams newsgroups=train.parquet docstrings
    python -m experiments.studies.learning.learner_streams newsgroups_by_time=train.parquet
    python -m experiments.studies.learning.learner_streams docstrings --avalanche PYTHON

Every learner meets the same streams under the same seeds: the order of the labels, the division of the text,
and the initial weights. By time, the articles of every newsgroup come in the order in which they reached the
news server, which is that of the file within each group. Memory is equal where the size of a learner can be
chosen: 33 kB an agent. Tokens are equal by the number of rounds. Lives that have finished are not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from agentos.data.sources.docstrings import Docstrings
from agentos.data.sources.parquet import Parquet
from agentos.learning.config import LifeConfig
from agentos.learning.outcome.accuracy_matrix import Matrix
from agentos.records.atomic_files import replacing, write_json
from experiments.studies.learning.measured_stream import Measured, measure
from experiments.studies.learning.peer_streams import (
    AVALANCHE,
    Words,
    avalanche_stream,
    lexical_stream,
)
from experiments.studies.learning.stream_tables import avalanche_section, page
from experiments.studies.running import command, corpus_of
from protocols.seeding import generator

FIRST_SEED = 10
"""Smaller seeds were used to choose the setting."""
PACKAGES = (
    *("torch", "scipy", "sklearn", "sympy", "pandas", "ray", "numpy", "matplotlib"),
    *("networkx", "transformers"),
)
AGENTS, ANCHORS, ROUNDS = 2, 64, 40
"""A round is one step."""
TRAINING = {
    "rounds": ROUNDS,
    "local_steps": 1,
    "batch_size": 32,
    "max_length": 32,
    "learning_rate": 2e-3,
    "warmup_steps": 10,
}
SHARES = {"labelled": 0.5, "gate": 0.02, "test": 0.15}


@dataclass(frozen=True)
class Arm:
    """A learner of the study.

    Attributes:
        learn: its section of the life.
        rounds: rounds of every episode after the first, so that all arms read as many tokens.
    """

    learn: dict[str, Any]
    rounds: int = ROUNDS

    @property
    def taken(self) -> dict[bool, int]:
        """Return the rounds of an episode, those of the first under True."""
        return {True: ROUNDS, False: self.rounds}


def _texts(count: int) -> dict[str, Any]:
    return {"replay": {"texts": count}}


ARMS: dict[str, Arm] = {
    "none": Arm({"kind": "none"}),
    "frozen": Arm({"kind": "frozen"}),
    "er": Arm({"kind": "er", **_texts(300)}, rounds=33),
    "ewc": Arm({"kind": "ewc"}),
}


@dataclass(frozen=True)
class Text:
    """A corpus of the study.

    Attributes:
        per_label: documents of each label.
        stream: what comes in which episode.
    """

    per_label: int
    stream: dict[str, Any]

    @property
    def by_time(self) -> bool:
        """Return whether documents come in the order of time, all labels in every episode."""
        return bool(self.stream["kind"] == "by_time")


TEXTS = {
    "newsgroups": Text(150, {"kind": "by_label", "per_episode": 4}),
    "docstrings": Text(300, {"kind": "by_label", "per_episode": 2}),
    "newsgroups_by_time": Text(150, {"kind": "by_time", "episodes": 5}),
}


def life_of(arm: Arm, text: Text, source: Path, seed: int) -> LifeConfig:
    """Return the life of an arm."""
    return LifeConfig.model_validate(
        {
            "from": "quickstart",
            "set": {
                "seed": seed,
                "data.source": {"kind": "jsonl", "path": str(source), "label": "label"},
                "data.private_labels": None,
                "data.partition": "iid",
                "data.anchors": ANCHORS,
                "agents": {"count": AGENTS, "encoder": {"preset": "nano", "dropout": 0.0}},
                "topology": "complete",
                "objectives": [{"kind": "info_nce", "views": ["crop"], "temperature": 0.05}],
                "exchange": "isolated",
                "training": TRAINING,
                "evaluation": {"tasks": ["geometry"], "max_length": 32},
                "runtime": "local",
            },
            "stream": {**text.stream, **SHARES},
            "learn": arm.learn,
            "head": "ridge",
            "gate": None,
        }
    )


def sample(name: str, path: str, folder: Path) -> Path:
    """Write as many documents of each label as the study takes into a file, and return its path."""
    file = folder / f"{name}.jsonl"
    if file.exists():
        return file
    by_label: dict[str, list[str]] = {}
    source = (
        Parquet(path=path, text="text", label="label") if path else Docstrings(packages=PACKAGES)
    )
    for document in source.documents():
        if len(document.text.split()) >= 8:
            by_label.setdefault(str(document.label), []).append(document.text)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(file) as draft:
        lines = _drawn(by_label, TEXTS[name])
        draft.write_text("".join(lines), encoding="utf-8", newline="\n")
    return file


def _drawn(by_label: dict[str, list[str]], text: Text) -> Iterator[str]:
    """Yield the lines of the sample, by label, or by the share of a label's documents that come before."""
    rows = []
    for label, own in sorted(by_label.items()):
        drawn = generator(0, "study", "streams", label).permutation(len(own))[: text.per_label]
        rows += [(place / len(own), label, own[place]) for place in drawn]
    for _, label, document in sorted(rows) if text.by_time else rows:
        yield json.dumps({"text": document, "label": label}) + "\n"


def measured(path: Path, measuring: Callable[[], Measured]) -> Measured:
    """Return figures from their file if they have been measured; else measure and write them."""
    if not path.exists():
        found = measuring()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found.model_dump(mode="json"))
    return Measured.model_validate_json(path.read_text(encoding="utf-8"))


def words(text: Text, source: Path, seed: int, path: Path) -> Words:
    """Return the figures of the lexical model on the stream of a seed, from its file if there is one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = lexical_stream(life_of(ARMS["none"], text, source, seed))
        write_json(path, found.model_dump(mode="json"))
    return Words.model_validate_json(path.read_text(encoding="utf-8"))


def avalanche(arm: str, text: Text, source: Path, seed: int, python: Path, path: Path) -> Matrix:
    """Return the accuracies of Avalanche's counterpart of an arm, from their file if they were measured."""
    if not path.exists():
        life = life_of(ARMS[arm], text, source, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        task = path.with_suffix(".task")
        write_json(path, avalanche_stream(life, arm, ARMS[arm].taken, python, task))
        task.unlink()
    return np.array(json.loads(path.read_text(encoding="utf-8")))


def main(
    corpora: Annotated[
        list[str],
        typer.Argument(
            metavar="CORPUS...",
            help="newsgroups=FILE.parquet, docstrings, newsgroups_by_time=FILE.parquet.",
        ),
    ],
    seeds: Annotated[int, typer.Option(help="Streams of each learner.")] = 5,
    first_seed: Annotated[int, typer.Option(help="Seed of the first stream.")] = FIRST_SEED,
    only: Annotated[list[str] | None, typer.Option(help="A learner; repeatable.")] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            "--avalanche", help="Interpreter of an environment with Avalanche, to compare with."
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("runs/streams"),
    results: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Measure what is missing of the study; write a page for each corpus."""
    for corpus in corpora:
        name, path = corpus_of(corpus, TEXTS)
        text, source = TEXTS[name], sample(name, path, runs)
        found: dict[str, list[Measured]] = {arm: [] for arm in only or ARMS}
        lexical, theirs = [], dict[str, list[Matrix]]()
        for seed in range(first_seed, first_seed + seeds):
            lexical.append(words(text, source, seed, runs / name / f"words-{seed}.json"))
            for arm, so_far in found.items():
                file = runs / name / f"{arm.replace(', ', '-')}-{seed}.json"
                life = life_of(ARMS[arm], text, source, seed)
                so_far.append(measured(file, partial(measure, life, ARMS[arm].taken)))
                typer.echo(f"{name}, {arm}, seed {seed}")
                if peer is not None and arm in AVALANCHE:
                    file = runs / name / f"avalanche-{arm}-{seed}.json"
                    other = avalanche(arm, text, source, seed, peer, file)
                    theirs.setdefault(arm, []).append(other)
        title = f"Learners on a stream: {name.replace('_', ' ')}"
        order = (
            "all in the order of time" if text.by_time else "each with its own order of the labels"
        )
        origin = command("learning.learner_streams")
        written = page(title, origin, found, lexical, AGENTS, order)
        written += avalanche_section(found, theirs)
        (results / f"streams_{name}.md").write_text(written, encoding="utf-8")
        typer.echo(written)


if __name__ == "__main__":
    typer.run(main)
