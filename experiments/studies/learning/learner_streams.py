"""Compare learners on streams of new labels: accuracy at the end, and how much is forgotten on the way.

    python -m experiments.studies.learning.learner_streams newsgroups=train.parquet docstrings

Every learner meets the same streams under the same seeds: the order of the labels, the division of the text,
and the initial weights. Memory is equal where a learner's size can be chosen: 33 kB an agent. Tokens are
equal by the number of rounds. Lives that have finished are not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from agentos.data.sources.docstrings import Docstrings
from agentos.data.sources.parquet import Parquet
from agentos.learning.config import LifeConfig
from agentos.records.atomic_files import replacing, write_json
from experiments.studies.learning.lexical_stream import Words, lexical_stream
from experiments.studies.learning.measured_stream import Measured, measure
from experiments.studies.learning.stream_tables import page
from experiments.studies.running import command
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
STREAM = {"kind": "by_label", "labelled": 0.5, "gate": 0.02, "test": 0.15}


@dataclass(frozen=True)
class Arm:
    """A learner of the study.

    Attributes:
        learn: its section of the life.
        rounds: rounds of every episode after the first, so that all arms read as many tokens.
    """

    learn: dict[str, Any]
    rounds: int = ROUNDS


def _texts(count: int) -> dict[str, Any]:
    return {"replay": {"texts": count}}


ARMS: dict[str, Arm] = {
    "none": Arm({"kind": "none"}),
    "frozen": Arm({"kind": "frozen"}),
    "er": Arm({"kind": "er", **_texts(300)}, rounds=33),
    "der": Arm({"kind": "der", **_texts(170)}, rounds=28),
    "ewc": Arm({"kind": "ewc"}),
}


@dataclass(frozen=True)
class Text:
    """A corpus of the study.

    Attributes:
        per_label: documents of each label.
        per_episode: labels of each episode.
    """

    per_label: int
    per_episode: int


TEXTS = {"newsgroups": Text(150, 4), "docstrings": Text(300, 2)}


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
            "stream": {**STREAM, "per_episode": text.per_episode},
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
        lines = _drawn(by_label, TEXTS[name].per_label)
        draft.write_text("".join(lines), encoding="utf-8", newline="\n")
    return file


def _drawn(by_label: dict[str, list[str]], count: int) -> Iterator[str]:
    for label, own in sorted(by_label.items()):
        for place in generator(0, "study", "streams", label).permutation(len(own))[:count]:
            yield json.dumps({"text": own[place], "label": label}) + "\n"


def measured(arm: Arm, text: Text, source: Path, seed: int, path: Path) -> Measured:
    """Return the figures of an arm under a seed, from its file if it has been measured."""
    if not path.exists():
        rounds = {True: ROUNDS, False: arm.rounds}
        found = measure(life_of(arm, text, source, seed), rounds)
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


def main(
    corpora: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="newsgroups=FILE.parquet, docstrings.")
    ],
    seeds: Annotated[int, typer.Option(help="Streams of each learner.")] = 5,
    first_seed: Annotated[int, typer.Option(help="Seed of the first stream.")] = FIRST_SEED,
    only: Annotated[list[str] | None, typer.Option(help="A learner; repeatable.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("runs/streams"),
    results: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Measure what is missing of the study; write a page for each corpus."""
    for corpus in corpora:
        name, _, path = corpus.partition("=")
        text, source = TEXTS[name], sample(name, path, runs)
        found: dict[str, list[Measured]] = {arm: [] for arm in only or ARMS}
        lexical = []
        for seed in range(first_seed, first_seed + seeds):
            lexical.append(words(text, source, seed, runs / name / f"words-{seed}.json"))
            for arm, so_far in found.items():
                file = runs / name / f"{arm.replace(', ', '-')}-{seed}.json"
                so_far.append(measured(ARMS[arm], text, source, seed, file))
                typer.echo(f"{name}, {arm}, seed {seed}")
        title = f"Learners on a stream of new labels: {name}"
        written = page(title, command("learning.learner_streams"), found, lexical, AGENTS)
        (results / f"streams_{name}.md").write_text(written, encoding="utf-8")
        typer.echo(written)


if __name__ == "__main__":
    typer.run(main)
