"""The contract of every stream in the table: order, parts and duplicates."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from agentos.learning.streams import STREAMS, Stream, StreamText, cut
from protocols.errors import ConfigurationError
from protocols.seeding import generator

DOCUMENTS, LABELS = 240, 6
REQUIRED: dict[str, dict[str, object]] = {
    "folder": {"path": "anywhere"},
    "by_time": {"episodes": 4},
}


@pytest.fixture(params=STREAMS)
def stream(request) -> Stream:
    return STREAMS[request.param](**REQUIRED.get(request.param, {}))


def text_of() -> StreamText:
    rng = generator(0, "stream contract")
    words = [" ".join(f"w{i}" for i in rng.integers(5000, size=30)) for _ in range(DOCUMENTS)]
    labels = [f"label-{i % LABELS}" for i in range(DOCUMENTS)]
    return StreamText([f"file-{i % 4}.txt:{i}" for i in range(DOCUMENTS)], words, labels)


TEXT = text_of()


def test_kind_is_the_key_in_the_table() -> None:
    for kind, cls in STREAMS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


def test_every_document_comes_once(stream: Stream) -> None:
    order = stream.order(TEXT, seed=0)
    assert len(order) > 1
    np.testing.assert_array_equal(np.sort(np.concatenate(order)), np.arange(DOCUMENTS))


def test_parts_are_disjoint_and_of_the_sizes_asked_for(stream: Stream) -> None:
    episodes, repeated = cut(stream, TEXT, seed=0)
    assert repeated == 0
    assert [episode.number for episode in episodes] == list(range(len(episodes)))
    parts = [part for e in episodes for part in (e.train, e.gate, e.test)]
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == len(together) == DOCUMENTS
    for episode, rows in zip(episodes, stream.order(TEXT, seed=0), strict=True):
        assert set(episode.train) | set(episode.gate) | set(episode.test) == set(rows)
        assert set(episode.labelled) <= set(episode.train)
        assert len(episode.gate) == pytest.approx(stream.gate * len(rows), abs=LABELS)
        assert len(episode.test) == pytest.approx(stream.test * len(rows), abs=LABELS)
        assert len(episode.labelled) == pytest.approx(0.1 * len(episode.train), abs=LABELS)
        labels = np.array(TEXT.labels)
        assert set(labels[episode.labelled]) == set(labels[episode.gate]) == set(labels[rows])


@pytest.mark.parametrize("share", [0.0, 1e-6, 1.0])
def test_share_of_labels_is_none_at_least_one_or_all(stream: Stream, share: float) -> None:
    (episode, *_), _ = cut(stream.model_copy(update={"labelled": share}), TEXT, seed=0)
    labels = np.array(TEXT.labels)[episode.train]
    expected = {0.0: 0, 1e-6: len(set(labels)), 1.0: len(labels)}
    assert len(episode.labelled) == expected[share]


def test_parts_depend_on_the_seed_alone(stream: Stream) -> None:
    def rows(seed: int) -> list[list[int]]:
        return [part.tolist() for e in cut(stream, TEXT, seed)[0] for part in (e.train, e.labelled)]

    assert rows(0) == rows(0)
    assert rows(0) != rows(1)


def test_near_duplicates_stay_in_one_part(stream: Stream) -> None:
    copies = [text + " again" for text in TEXT.texts[:120]]
    ids = [*TEXT.ids, *(f"file-{i % 4}.txt:{DOCUMENTS + i}" for i in range(120))]
    twice = StreamText(ids, [*TEXT.texts, *copies], [*TEXT.labels, *TEXT.labels[:120]])
    episodes, repeated = cut(stream, twice, seed=0)
    assert repeated == 120
    kept = np.concatenate([part for e in episodes for part in (e.train, e.gate, e.test)])
    originals = np.where(kept < DOCUMENTS, kept, kept - DOCUMENTS)
    assert len(set(originals.tolist())) == len(originals) == DOCUMENTS


def test_too_few_documents_are_refused(stream: Stream) -> None:
    few = StreamText(TEXT.ids[:3], TEXT.texts[:3], TEXT.labels[:3])
    with pytest.raises(ConfigurationError):
        cut(stream, few, seed=0)
