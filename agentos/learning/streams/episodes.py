"""Episodes of a stream: documents to train on, to decide on, and to measure on, none like another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agentos.learning.streams.base import Rows, Stream, StreamText
from agentos.tasks.resemblance import resembling
from protocols.errors import ConfigurationError
from protocols.seeding import generator


@dataclass(frozen=True, eq=False)
class Episode:
    """The documents of one episode; parts are disjoint and sorted.

    Attributes:
        number: from 0.
        train: documents to train on.
        labelled: those of `train` that come with their label.
        gate: labelled documents that the gate decides on.
        test: labelled documents that only measure.
        repeats: near duplicates of text that is trained on by then: left out, but for a report of what they
            would do to the tests. A sample, in the proportion in which other documents are tested on.
    """

    number: int
    train: Rows
    labelled: Rows
    gate: Rows
    test: Rows
    repeats: Rows


def cut(stream: Stream, text: StreamText, seed: int) -> tuple[tuple[Episode, ...], int]:
    """Divide a stream into episodes.

    Of documents that resemble each other, wherever in the stream, only the first to come stays: nothing that
    is measured on was trained on before, in this episode or in another.

    Args:
        stream: the stream.
        text: its documents.
        seed: the run's seed.

    Returns:
        The episodes, and the number of near duplicates that were left out.

    Raises:
        ConfigurationError: an episode has too few documents to divide.
    """
    groups = resembling(list(text.texts), stream.near_duplicates)
    seen: set[int] = set()
    trained: set[int] = set()
    episodes: list[Episode] = []
    for rows in stream.order(text, seed):
        is_new = np.array([not _repeats(int(groups[row]), seen) for row in rows], bool)
        if is_new.any():  # a part of the stream that only repeats what came before is no episode
            episode = _divide(stream, text, len(episodes), rows[is_new], seed)
            trained.update(groups[episode.train].tolist())
            left_out = rows[~is_new][np.isin(groups[rows[~is_new]], list(trained))]
            episodes.append(replace(episode, repeats=_sampled(left_out, stream, episode, seed)))
    present = sum(len(e.train) + len(e.gate) + len(e.test) for e in episodes)
    return tuple(episodes), len(text) - present


def _repeats(group: int, seen: set[int]) -> bool:
    if group in seen:
        return True
    seen.add(group)
    return False


def _sampled(left_out: Rows, stream: Stream, episode: Episode, seed: int) -> Rows:
    rng = generator(seed, "episode", episode.number, "repeats")
    count = int(np.ceil(stream.test * len(left_out)))
    return np.sort(rng.permutation(left_out)[:count])


def _divide(stream: Stream, text: StreamText, number: int, rows: Rows, seed: int) -> Episode:
    """Divide the documents of one episode, every label in proportion."""
    parts: dict[str, list[Rows]] = {"train": [], "labelled": [], "gate": [], "test": []}
    labels = np.array([text.labels[row] or "" for row in rows])
    for label in np.unique(labels):
        rng = generator(seed, "episode", number, str(label))
        own = rng.permutation(rows[labels == label])
        gate, test = (max(1, round(share * len(own))) for share in (stream.gate, stream.test))
        if gate + test >= len(own):
            raise ConfigurationError(
                f"episode {number} has too few documents of {str(label)!r} to divide",
                expected=f"more than {gate + test}: some for the gate, some to test, some to train on",
                actual=len(own),
                hint="take fewer episodes, lower stream.gate and stream.test, or read more text",
            )
        train = own[gate + test :]
        parts["gate"].append(own[:gate])
        parts["test"].append(own[gate : gate + test])
        parts["train"].append(train)
        known = round(stream.labelled * len(train))
        parts["labelled"].append(train[: max(1, known) if stream.labelled else 0])
    divided = {name: np.sort(np.concatenate(part)) for name, part in parts.items()}
    return Episode(number, **divided, repeats=rows[:0])
