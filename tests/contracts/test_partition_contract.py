"""Every partition gives each document to one agent, or one group of copies, and every agent some."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentos.data.config import DataConfig
from agentos.data.partition import PARTITIONS, Partition
from agentos.data.partition.shares import IntArray, check_shards
from protocols.errors import ConfigurationError
from protocols.seeding import generator

MAKERS: dict[str, Callable[[int, int], Partition]] = {
    "iid": lambda agents, minimum: PARTITIONS["iid"].model_validate({}),
    "by_label": lambda agents, minimum: PARTITIONS["by_label"].model_validate({}),
    "dirichlet": lambda agents, minimum: PARTITIONS["dirichlet"].model_validate(
        {"alpha": 0.1, "minimum": minimum}
    ),
    "kmeans": lambda agents, minimum: PARTITIONS["kmeans"].model_validate(
        {"dimension": 4, "minimum": minimum}
    ),
    "shards": lambda agents, minimum: PARTITIONS["shards"].model_validate(
        {"sizes": [3.0 ** (i % 5) for i in range(agents)]}
    ),
    "copies": lambda agents, minimum: PARTITIONS["copies"].model_validate(
        {"of": "iid", "copies": copies_of(agents)}
    ),
}


def copies_of(agents: int) -> int:
    """Return how many agents read the same, where partitions give several agents the same text."""
    return next(copies for copies in (3, 2, 1) if agents % copies == 0)


def texts(rows: IntArray) -> list[str]:
    words = ("algebra", "matrix", "wine", "cheese", "tensor", "bread", "gradient")
    return [f"{words[row % 7]} {words[row % 5]} item{row % 11}" for row in rows]


def divide(kind: str, documents: int, agents: int, labels: int, minimum: int, seed: int) -> list:
    codes = generator(seed, "labels").integers(labels, size=documents)
    return MAKERS[kind](agents, minimum).assign(
        codes, texts, documents, agents, generator(seed, "partition")
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    agents = draw(st.integers(1, 9))
    minimum = draw(st.integers(1, 4))
    documents = draw(st.integers(agents * minimum, 120))
    return documents, agents, draw(st.integers(1, 12)), minimum, draw(st.integers(0, 2**32))


def check(kind: str, case: tuple[int, int, int, int, int]) -> None:
    documents, agents, _, minimum, _ = case
    shares = divide(kind, *case)
    check_shards(shares, documents, agents, PARTITIONS[kind].divides)
    for share in shares:
        assert share.dtype == np.int64
        assert np.all(np.diff(share) > 0)
        if kind in ("dirichlet", "kmeans"):
            assert len(share) >= minimum
    for share, again in zip(shares, divide(kind, *case), strict=True):
        np.testing.assert_array_equal(share, again)


@pytest.mark.parametrize("kind", [kind for kind in PARTITIONS if kind != "kmeans"])
@settings(max_examples=100)
@given(case=cases())
def test_shares_are_disjoint_covering_not_empty_and_repeatable(
    kind: str, case: tuple[int, int, int, int, int]
) -> None:
    check(kind, case)


@settings(max_examples=12)
@given(case=cases())
def test_shares_are_disjoint_covering_not_empty_and_repeatable_for_kmeans(
    case: tuple[int, int, int, int, int],
) -> None:
    check("kmeans", case)


@pytest.mark.parametrize("kind", PARTITIONS)
def test_too_few_documents_are_refused_with_a_hint(kind: str) -> None:
    shares = 4 if PARTITIONS[kind].divides else 4 // copies_of(4)
    with pytest.raises(ConfigurationError, match="too few training documents") as caught:
        divide(kind, documents=shares - 1, agents=4, labels=2, minimum=1, seed=0)
    assert f"{shares} agents" in str(caught.value.expected)
    assert caught.value.hint


@pytest.mark.parametrize("kind", PARTITIONS)
def test_labels_are_asked_for_exactly_where_needed(kind: str) -> None:
    partition = MAKERS[kind](3, 1)
    arguments = (None, texts, 30, 3, generator(0, "partition"))
    if partition.needs_labels:
        with pytest.raises(ConfigurationError, match="needs labels") as caught:
            partition.assign(*arguments)
        assert "label" in str(caught.value.hint)
    else:
        check_shards(partition.assign(*arguments), 30, 3, partition.divides)


def test_copies_read_the_same_and_the_groups_divide_the_documents() -> None:
    codes = generator(0, "labels").integers(5, size=60)
    copies = PARTITIONS["copies"].model_validate({"of": "by_label", "copies": 3})
    shares = copies.assign(codes, texts, 60, 6, generator(0, "partition"))
    groups = PARTITIONS["by_label"]().assign(codes, texts, 60, 2, generator(0, "partition"))
    for agent, share in enumerate(shares):
        np.testing.assert_array_equal(share, groups[agent // 3])
    with pytest.raises(ConfigurationError, match="loses or repeats"):
        check_shards(shares, 60, 6)
    with pytest.raises(ConfigurationError, match="loses or repeats"):
        check_shards([*shares[:3], *shares[:3]], 60, 6, divides=False)


def test_copies_need_labels_where_their_division_does_and_fit_the_number_of_agents() -> None:
    by_label = PARTITIONS["copies"].model_validate({"of": "by_label", "copies": 2})
    assert by_label.wants_labels
    assert not PARTITIONS["copies"]().wants_labels
    with pytest.raises(ConfigurationError, match="7 agents cannot be grouped by 2") as caught:
        by_label.assign(np.zeros(30, np.int64), texts, 30, 7, generator(0, "partition"))
    assert caught.value.hint


@pytest.mark.parametrize("kind", PARTITIONS)
def test_partition_survives_its_configuration(kind: str) -> None:
    partition = MAKERS[kind](4, 2)
    written = DataConfig(partition=partition).model_dump_json()
    assert DataConfig.model_validate_json(written).partition == partition
