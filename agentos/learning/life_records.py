"""Records of a life: one file, replaced as a whole at the end of every episode, and the accepted states.

``life.json`` holds the configuration and a record of every finished episode. ``states-N/`` holds the states
that the last accepted update left, N the episode that it was learnt in; a folder that no record names was
left by a process that was killed, and is removed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from agentos.learning.episode_rounds import Spent, States
from agentos.learning.knowledge.knowledge_record import KnowledgeRecord
from agentos.records.atomic_files import damaged, require_inside, write_json, writing
from protocols.errors import RecordError
from protocols.spec import Spec

LIFE = "life.json"
_STATES = "states-"
BRANCHES = frozenset({"name", "gate", "label", "novelty"})
"""Parts of the configuration in which a branch may differ: none of them is in the states of agents."""


class EpisodeRecord(Spec):
    """Record of one episode."""

    episode: int = Field(ge=0, description="Number of the episode, from 0.")
    train: int = Field(ge=0, description="Training documents.")
    labelled: int = Field(ge=0, description="Those that came with their label.")
    novel: float | None = Field(
        description="Share of its documents that are novel to the society that was accepted last."
    )
    automatic: int = Field(ge=0, description="Those that the society labelled itself.")
    coverage: float | None = Field(description="Share of the unlabelled that got a label.")
    precision: float | None = Field(description="Share of automatic labels that are right.")
    spent: dict[str, int] = Field(
        description="Tokens, message bytes, bytes of memory and FLOPs, by name."
    )
    outcome: Literal["first", "accept", "refuse", "ungated"] = Field(
        description="Decision of the gate; the first episode is the baseline of all others."
    )
    reasons: tuple[str, ...] = Field((), description="What the decision rests on.")
    gate_used: tuple[int, ...] = Field((), description="Examples that the decision has used.")
    gain: float | None = Field(None, description="Gain in accuracy that the gate measured.")
    p_value: float | None = Field(None, description="Of the gain.")
    accuracies: tuple[float, ...] = Field(
        description="Accuracy on the test of every episode that had come, of the model in force after this "
        "one."
    )
    tests: tuple[int, ...] = Field((), description="Texts in each of these tests.")
    accuracy_with_repeats: float | None = Field(
        None,
        description="Mean of these accuracies, had near duplicates of training text stayed in the tests; "
        "null if there are none.",
    )
    states: int = Field(ge=0, description="Episode whose states are in force.")
    digests: dict[int, str] = Field(description="The SHA-256 of the state of each agent.")
    knowledge: KnowledgeRecord | None = Field(
        None, description="What the society knows; null if it keeps no knowledge base."
    )


class LifeRecord(Spec):
    """A life so far."""

    format: Literal[1] = 1
    config: dict[str, Any] = Field(description="The configuration of the life and of its run.")
    seen: float | None = Field(
        None,
        description="Share of the test documents that the encoders had read before, without labels; null for "
        "encoders that began with random weights.",
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="Digest of each file of a stream folder that an episode was made of, by name.",
    )
    repeated: int = Field(
        0, ge=0, description="Near duplicates in the stream, which are in no part of any episode."
    )
    before: tuple[float, ...] = Field((), description="Accuracies of the untrained society.")
    episodes: tuple[EpisodeRecord, ...] = Field((), description="The finished episodes.")

    @property
    def tests(self) -> tuple[int, ...]:
        """Texts in the test of every episode that has come; none before the end of the first."""
        return self.episodes[-1].tests if self.episodes else ()

    def states(self, directory: Path) -> States | None:
        """Return the states in force; None before the end of the first episode."""
        if not self.episodes:
            return None
        last = self.episodes[-1]
        return States(states_folder(directory, last.states), last.digests)


def states_folder(directory: Path, episode: int) -> Path:
    """Return the folder of the states that an episode ends with."""
    return directory / f"{_STATES}{episode}"


def read_life(directory: Path, config: dict[str, Any]) -> LifeRecord:
    """Return the record of a life that goes on, or of one that begins.

    Raises:
        RecordError: the record is damaged, or is of another configuration.
    """
    path = directory / LIFE
    if not path.exists():
        return LifeRecord(config=config)
    require_inside(directory)
    found = load_life_record(directory)
    if found.config != json.loads(json.dumps(config)):
        raise RecordError(
            f"{directory} holds another life",
            expected="the configuration that it began with",
            actual=f"one that differs in {', '.join(_changed(found.config, config))}",
            hint="choose another folder with --out, or give it the same configuration",
        )
    return found


def load_life_record(directory: Path) -> LifeRecord:
    """Return the record of the life in a folder.

    Raises:
        RecordError: there is none, or it is damaged.
    """
    path = directory / LIFE
    try:
        return LifeRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise damaged(path, "the record of a life", str(error).splitlines()[0]) from error


def write_life(directory: Path, record: LifeRecord) -> None:
    """Write the record, and remove states that are no longer in force.

    Raises:
        RecordError: the folder cannot be written to.
    """
    write_json(directory / LIFE, record.model_dump(mode="json"), indent=1)
    tidy(directory, record)


def branch(origin: Path, directory: Path, config: dict[str, Any], after: int | None) -> None:
    """Copy a life up to one of its episodes into a folder, to go on there under other settings.

    Args:
        origin: folder of the life.
        directory: folder of the branch, which holds no life yet.
        config: configuration of the branch; the parts in `BRANCHES` may differ.
        after: episodes to keep; None for all.

    Raises:
        RecordError: there is no such life or episode, a later update has replaced its states, other parts of
            the configuration differ, or the folder holds a life.
    """
    require_inside(origin)
    found = load_life_record(origin)
    kept = found.model_copy(update={"episodes": found.episodes[:after]})
    states = kept.states(origin)
    for problem, expected, actual in (
        ((directory / LIFE).exists(), "a folder without a life", directory),
        (len(kept.episodes) != (after or len(found.episodes)), len(found.episodes), after),
        (
            states is None or not states.folder.is_dir(),
            "states of that episode",
            "those of a later one",
        ),
        (
            not set(changed := _changed(found.config, config)) <= BRANCHES,
            f"changes of {', '.join(sorted(BRANCHES))} alone",
            ", ".join(changed),
        ),
    ):
        if problem:
            raise RecordError(
                f"cannot branch off from {origin} after {after or 'all'} of its episodes",
                expected=expected,
                actual=actual,
                hint="branch off where the life stands, or where no later update was let in, with the same "
                "text, agents and learner",
            )
    with writing(directory):
        shutil.copytree(origin, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    write_life(directory, kept.model_copy(update={"config": config}))


def tidy(directory: Path, record: LifeRecord) -> None:
    """Remove the folders of states that are not in force."""
    states = record.states(directory)
    with writing(directory):
        for folder in sorted(directory.glob(f"{_STATES}*")):
            if folder.is_dir() and (states is None or folder != states.folder):
                shutil.rmtree(folder)


def spent_fields(spent: Spent) -> dict[str, int]:
    """Return the cost of an episode as plain numbers by name."""
    return dict(vars(spent))


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    plain = json.loads(json.dumps(now))
    keys = {*before, *plain}
    return sorted(key for key in keys if before.get(key) != plain.get(key))
