from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.data.partition import ByLabel, Dirichlet, Iid, KMeans, Shards
from agentos.data.partition.base import Texts
from agentos.data.partition.shares import IntArray, check_shards
from protocols.errors import ConfigurationError
from protocols.seeding import generator

TOPICS = (
    "matrix vector eigenvalue linear algebra determinant",
    "bread flour oven yeast dough bakery",
    "planet orbit telescope galaxy star comet",
)


def rng() -> np.random.Generator:
    return generator(0, "partition")


def topic_texts(documents: int) -> Texts:
    drawn = generator(1, "words")
    made = [" ".join(drawn.permutation(TOPICS[i % 3].split())[:4]) for i in range(documents)]
    return lambda rows: [made[row] for row in rows]


def no_texts(rows: IntArray) -> list[str]:
    raise AssertionError("this partition needs no text")


def test_iid_shares_differ_by_one_document_at_most() -> None:
    sizes = [len(share) for share in Iid().assign(None, no_texts, 23, 5, rng())]
    assert sorted(sizes) == [4, 4, 5, 5, 5]


def test_by_label_gives_each_agent_its_label_in_order() -> None:
    codes = np.array([2, 0, 1, 0, 2, 2])
    shares = ByLabel().assign(codes, no_texts, 6, 3, rng())
    assert [share.tolist() for share in shares] == [[1, 3], [2], [0, 4, 5]]


def test_by_label_packs_more_labels_than_agents_by_size() -> None:
    codes = np.repeat(np.arange(5), [50, 30, 20, 20, 10])  # 130 documents, best split 60 + 70
    shares = ByLabel().assign(codes, no_texts, 130, 2, rng())
    assert sorted(len(share) for share in shares) == [60, 70]
    for code in range(5):
        assert sum(code in codes[share] for share in shares) == 1


def test_by_label_splits_the_largest_labels_among_several_agents() -> None:
    codes = np.repeat([0, 1], [90, 10])
    shares = ByLabel().assign(codes, no_texts, 100, 4, rng())
    assert [len(share) for share in shares] == [30, 30, 30, 10]
    assert all(len(set(codes[share])) == 1 for share in shares)


def skew(alpha: float) -> float:
    """Mean share of an agent's most frequent label."""
    codes = np.repeat(np.arange(10), 200)
    shares = Dirichlet(alpha=alpha).assign(codes, no_texts, 2000, 5, rng())
    return float(np.mean([np.bincount(codes[share]).max() / len(share) for share in shares]))


def test_dirichlet_skew_falls_as_alpha_grows() -> None:
    assert skew(0.05) > 0.4 > skew(1.0) > skew(1000.0)
    assert skew(1000.0) == pytest.approx(0.1, abs=0.02)  # ten labels of equal size


def test_dirichlet_label_shares_have_the_moments_of_the_distribution() -> None:
    # Of Dir(a, a, a, a) each part has mean 1/4 and variance (1/4)(3/4) / (4a + 1).
    alpha, labels, each = 0.5, 3000, 100
    codes = np.repeat(np.arange(labels), each)
    shares = Dirichlet(alpha=alpha).assign(codes, no_texts, len(codes), 4, rng())
    parts = np.stack([np.bincount(codes[share], minlength=labels) / each for share in shares])
    assert parts.mean(axis=1) == pytest.approx(0.25, abs=0.02)
    assert parts.var(axis=1) == pytest.approx(0.1875 / (4 * alpha + 1), rel=0.1)


def test_dirichlet_gives_everyone_the_minimum_however_skewed() -> None:
    codes = np.zeros(60, dtype=np.int64)
    shares = Dirichlet(alpha=1e-3, minimum=7).assign(codes, no_texts, 60, 8, rng())
    assert min(map(len, shares)) >= 7
    check_shards(shares, 60, 8)


def test_shards_have_the_given_proportions() -> None:
    shares = Shards(sizes=(1, 2, 7)).assign(None, no_texts, 1000, 3, rng())
    assert [len(share) for share in shares] == [100, 200, 700]


def test_shards_of_another_number_than_agents_are_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Shards(sizes=(1, 2)).assign(None, no_texts, 1000, 3, rng())
    assert (caught.value.expected, caught.value.actual) == ("3 sizes", "2 sizes")


@pytest.mark.parametrize("sizes", [(), (1.0, 0.0), (1.0, -1.0), (1.0, float("inf"))])
def test_shards_sizes_must_be_positive_numbers(sizes: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Shards(sizes=sizes)


def test_kmeans_gives_each_agent_one_topic() -> None:
    shares = KMeans(dimension=3).assign(None, topic_texts(90), 90, 3, rng())
    assert sorted(share.tolist() for share in shares) == [list(range(t, 90, 3)) for t in range(3)]


def test_kmeans_of_equal_texts_still_gives_every_agent_some() -> None:
    same: Texts = lambda rows: ["the very same words"] * len(rows)  # noqa: E731
    shares = KMeans(minimum=2).assign(None, same, 20, 4, rng())
    check_shards(shares, 20, 4)


def test_kmeans_reads_a_few_texts_at_a_time() -> None:
    asked: list[int] = []
    texts = topic_texts(2000)

    def counted(rows: IntArray) -> list[str]:
        asked.append(len(rows))
        return texts(rows)

    KMeans(dimension=3).assign(None, counted, 2000, 3, rng())
    assert max(asked) < 2000


@pytest.mark.parametrize(
    "shares", [[[0, 1], []], [[0, 1, 2]], [[0, 1], [1, 2]], [[0], [2]], [[0, 1], [2, 3]]]
)
def test_shares_that_lose_or_repeat_documents_are_refused(
    shares: list[list[int]],
) -> None:
    with pytest.raises(ConfigurationError, match="the partition"):
        check_shards([np.array(share, dtype=np.int64) for share in shares], 3, 2)
