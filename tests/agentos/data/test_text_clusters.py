from __future__ import annotations

import pytest

from agentos.data.text_clusters import cluster
from protocols.errors import ConfigurationError
from protocols.seeding import generator

TOPICS = (
    "matrix vector eigenvalue linear algebra determinant",
    "bread flour oven yeast dough bakery",
    "planet orbit telescope galaxy star comet",
)


def topic_texts(documents: int) -> list[str]:
    drawn = generator(1, "words")
    return [" ".join(drawn.permutation(TOPICS[i % 3].split())[:4]) for i in range(documents)]


def test_cluster_fitted_on_a_sample_agrees_with_one_fitted_on_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = topic_texts(90)
    monkeypatch.setattr("agentos.data.text_clusters.FIT_DOCUMENTS", 40)
    codes = cluster(texts, 3, seed=0, dimension=3)
    assert all(len(set(codes[t::3])) == 1 for t in range(3))
    assert len(set(codes)) == 3


def test_cluster_of_stop_words_alone_needs_no_feature() -> None:
    assert cluster(["the", "of and", "", "a"], 2, seed=0).shape == (4,)


def test_more_clusters_than_texts_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="fewer texts than clusters"):
        cluster(["one text"], 2, seed=0)
