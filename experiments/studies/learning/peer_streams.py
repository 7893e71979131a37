"""Peers on a stream: TF-IDF with logistic regression on all labelled text so far, and Avalanche's learners.

Avalanche needs a release of torch of its own, so it runs under another interpreter; see
experiments.benchmarks.harness.avalanche_peer.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import draw_up
from agentos.learning.life import LifeListener
from agentos.learning.streams.base import Rows
from agents.models.build import preset_config
from experiments.benchmarks.harness import __file__ as harness
from experiments.studies.cooperation.lexical_labels import probabilities
from experiments.studies.lexical import cut
from protocols.spec import Spec


class Words(Spec):
    """Figures of the lexical model on one stream."""

    values: tuple[tuple[float, ...], ...] = Field(
        description="After each episode, accuracy on the test of each."
    )
    memory_bytes: int = Field(
        ge=0, description="Bytes of the labelled text in UTF-8, cut as it is read."
    )


def lexical_stream(life: LifeConfig) -> Words:
    """Return the accuracy on every test after every episode of a model that keeps all labelled text."""
    curriculum = draw_up(life, LifeListener())
    length = curriculum.config.evaluation.max_length
    tests = [episode.test for episode in curriculum.episodes]
    asked = np.concatenate(tests)
    queries = cut(curriculum.texts(asked), length)
    values, texts, labels, read = [], list[str](), list[str](), list[str]()
    for episode in curriculum.episodes:
        read += cut(curriculum.texts(episode.train), length)
        texts += cut(curriculum.texts(episode.labelled), length)
        labels += [curriculum.names[curriculum.codes[row]] for row in episode.labelled]
        found = probabilities(read, texts, labels, queries, curriculum.names)
        right = found.argmax(axis=1) == curriculum.codes[asked]
        cuts = np.cumsum([len(test) for test in tests])[:-1]
        values.append(tuple(float(part.mean()) for part in np.split(right, cuts)))
    return Words(values=tuple(values), memory_bytes=sum(len(text.encode()) for text in texts))


AVALANCHE: dict[str, dict[str, Any]] = {
    "none": {"strategy": "naive"},
    "er": {"strategy": "replay", "memory": 300},
    "ewc": {"strategy": "ewc", "strength": 500.0},
}
"""Avalanche's learner that is the counterpart of each of ours; its penalty has no factor of 1 / 2."""
_BATCH = 16
"""Labelled texts in a step, as ours, and stored ones in addition."""


def avalanche_stream(
    life: LifeConfig, arm: str, rounds: Mapping[bool, int], python: Path, task: Path
) -> list[list[float]]:
    """Return the accuracies `[E, E]` of Avalanche's learner on the stream of a life.

    Args:
        life: the life.
        arm: our learner whose counterpart learns.
        rounds: steps of an episode, of the first under True.
        python: interpreter of an environment that has Avalanche.
        task: file to write the stream to.

    Raises:
        RuntimeError: it failed.
    """
    task.write_text(json.dumps(_task(life, rounds) | AVALANCHE[arm]), encoding="utf-8")
    script = Path(harness).with_name("avalanche_peer.py")
    command = [str(python), str(script), str(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Avalanche failed:\n{done.stderr[-2000:]}")
    found: list[list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _task(life: LifeConfig, rounds: Mapping[bool, int]) -> dict[str, Any]:
    """Return the stream of a life in token ids, and the setting of its training."""
    curriculum = draw_up(life, LifeListener())
    config, (group,) = curriculum.config, curriculum.blueprint.groups
    tokenizer, training = group.tokenizer, config.training
    first, last = tokenizer("")["input_ids"]
    padding = int(tokenizer.pad_token_id or 0)

    def part(rows: Rows | Sequence[int]) -> dict[str, list[Any]]:
        tokens = [group.tokens[int(row)].tolist() for row in rows]
        return {"tokens": tokens, "classes": [int(curriculum.codes[row]) for row in rows]}

    agents: list[list[Any]] = [[] for _ in curriculum.blueprint.members]
    for episode in curriculum.episodes:
        labels = {int(row): int(curriculum.codes[row]) for row in episode.labelled}
        for member in curriculum.members(episode, labels):
            agents[member.id].append(part(member.labelled))
    return {
        "encoder": preset_config(group.encoder, len(tokenizer), padding).to_dict(),
        "special": (int(first), int(last)),
        "padding": padding,
        "length": training.max_length,
        "classes": curriculum.classes,
        "steps": [rounds[not episode.number] for episode in curriculum.episodes],
        "batch": _BATCH,
        "learning_rate": training.learning_rate,
        "warmup": training.warmup_steps,
        "seed": config.seed,
        "agents": agents,
        "tests": [part(episode.test) for episode in curriculum.episodes],
    }
