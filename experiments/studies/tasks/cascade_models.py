"""Material of the study of cascades: encoders of three sizes, trained once, and the texts of its task."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from agentos import RunConfig, Simulation
from agentos.data.sources.docstrings import Docstrings
from agentos.records.atomic_files import replacing
from agentos.records.layout import METRICS, SUMMARY
from agentos.tasks.config import Task
from agentos.tasks.library import read_cards
from experiments.studies.heterogeneous import packaged_encoder
from experiments.studies.tasks.cascade_page import PRESETS
from protocols.seeding import generator

PACKAGES = (
    *("torch", "scipy", "sklearn", "sympy", "pandas", "ray", "numpy", "matplotlib"),
    *("networkx", "transformers", "datasets", "pyarrow"),
)
TEXTS, TOKENS, STEPS = 150, 32, 50
"""Texts of each library, of those that have so many; tokens of a text; training steps of a round."""


def run_of(rounds: int) -> RunConfig:
    """Return the run that trains the small encoders, each by itself."""
    values: dict[str, Any] = {
        "name": "sizes",
        "data": {
            "source": {"kind": "docstrings", "packages": list(PACKAGES)},
            "partition": {"kind": "iid"},
            "tokenizer": {"sample_documents": 4000},
        },
        "agents": {"groups": [{"count": 1, "encoder": {"preset": preset}} for preset in PRESETS]},
        "topology": {"kind": "complete"},
        "objectives": [{"kind": "info_nce", "views": ["crop"], "temperature": 0.05}],
        "exchange": {"kind": "isolated"},
        "training": {
            "rounds": rounds,
            "local_steps": STEPS,
            "batch_size": 64,
            "max_length": 24,
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "warmup_steps": 20,
        },
        "evaluation": {"every": rounds, "tasks": ["geometry"], "documents": 200, "max_length": 32},
        "runtime": {"kind": "local"},
    }
    return RunConfig.model_validate(values)


def sampled(path: Path) -> Path:
    """Return the file with the texts of the task, drawn once: encoders read each text once."""
    if not path.is_file():
        by_label: dict[str, list[str]] = {}
        for document in Docstrings(packages=PACKAGES).documents():
            by_label.setdefault(str(document.label), []).append(document.text)
        texts, labels = list[str](), list[str]()
        for label, own in sorted(by_label.items()):
            if len(own) >= TEXTS:
                order = generator(0, "study", "cascade", label).permutation(len(own))[:TEXTS]
                texts += [own[place] for place in np.sort(order)]
                labels += [label] * TEXTS
        columns = {"text": texts, "label": labels}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            pyarrow.parquet.write_table(pyarrow.table(columns), draft)
    return path


def task_of(folder: Path, seed: int, shots: int | None) -> Task:
    """Return the task of one seed: other labels, other splits of the same texts."""
    source = {"kind": "parquet", "path": str(sampled(folder / "texts.parquet"))}
    values: dict[str, Any] = {
        "name": "cascade",
        "seed": seed,
        "library": {"runs": [str(folder / "sizes")], "models": [packaged_encoder()]},
        "task": {
            "kind": "classify",
            "source": {**source, "text": "text", "label": "label"},
            "shots": shots,
            "max_length": TOKENS,
        },
        "select": {"kind": "largest", "top": len(PRESETS) + 1},
        "topology": {"kind": "layered", "branching": 1},
    }
    return Task.model_validate(values)


def trained(folder: Path, rounds: int) -> Path:
    """Return the folder of the run that trains the small encoders, which is run if it is not there."""
    if not (folder / SUMMARY).is_file():
        Simulation(run_of(rounds), out=folder).run()
    return folder


def training_flops(run: Path) -> float:
    """Return the FLOPs of training the encoders of a run: a step costs three passes over its tokens."""
    tokens: Counter[int] = Counter()
    for line in (run / METRICS).read_text("utf-8").splitlines():
        row = json.loads(line)
        tokens[int(str(row["agent"]).rpartition("-")[2])] += int(row.get("tokens", 0))
    cards = read_cards(run)
    return float(sum(3 * card.flops(TOKENS, tokens[card.agent or 0]) for card in cards))
