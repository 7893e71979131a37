from __future__ import annotations

import pickle
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import RecordError
from protocols.ledger import COLUMNS, Ledger

DELIVERIES = [  # round, hop, sender, receiver, kind, bytes
    (0, 0, 0, 1, "embeddings", 100),
    (0, 0, 1, 0, "embeddings", 120),
    (0, 1, 0, 1, "metrics", 7),
    (2, 0, 0, 2, "embeddings", 100),
    (2, 0, 2, 0, "control", 1),
]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(0, 2),
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from(["weights", "metrics", "control"]),
        st.integers(0, 2**40),
    ),
    max_size=30,
)


def ledger_of(deliveries: list[tuple[Any, ...]]) -> Ledger:
    ledger = Ledger()
    for delivery in deliveries:
        ledger.record(*delivery)
    return ledger


def test_sums_match_a_count_by_hand() -> None:
    ledger = ledger_of(DELIVERIES)
    assert ledger.total() == 328
    assert ledger.by_kind() == {"control": 1, "embeddings": 320, "metrics": 7}
    assert ledger.by_edge() == {(0, 1): 107, (0, 2): 100, (1, 0): 120, (2, 0): 1}
    assert ledger.by_agent() == {0: (207, 121), 1: (120, 107), 2: (1, 100)}
    assert ledger.for_round(0) == {0: (107, 120), 1: (120, 107)}
    assert ledger.for_round(1) == {}
    assert ledger.for_round(2) == {0: (100, 1), 2: (1, 100)}
    assert ledger.cumulative() == [(0, 227), (2, 328)]


def test_empty_ledger_sums_to_nothing() -> None:
    ledger = Ledger()
    assert ledger.total() == 0
    assert ledger.by_kind() == ledger.by_edge() == ledger.by_agent() == {}
    assert ledger.cumulative() == []
    assert ledger.rows() == {name: [] for name in COLUMNS}
    assert Ledger.from_rows(ledger.rows()).total() == 0


@given(deliveries=ROWS)
def test_sums_match_a_slow_count(deliveries: list[tuple[Any, ...]]) -> None:
    kinds: dict[str, int] = defaultdict(int)
    edges: dict[tuple[int, int], int] = defaultdict(int)
    agents: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    rounds: dict[int, int] = defaultdict(int)
    for round, _, sender, receiver, kind, size in deliveries:
        kinds[kind] += size
        edges[sender, receiver] += size
        agents[sender][0] += size
        agents[receiver][1] += size
        rounds[round] += size
    ledger = ledger_of(deliveries)
    assert ledger.total() == sum(kinds.values())
    assert ledger.by_kind() == kinds
    assert ledger.by_edge() == edges
    assert list(ledger.by_edge()) == sorted(edges)
    assert ledger.by_agent() == {agent: tuple(sums) for agent, sums in agents.items()}
    assert ledger.cumulative() == [
        (round, sum(size for other, size in rounds.items() if other <= round))
        for round in sorted(rounds)
    ]


@given(deliveries=ROWS)
def test_rows_are_the_deliveries_by_round_and_rebuild_the_ledger(
    deliveries: list[tuple[Any, ...]],
) -> None:
    columns = ledger_of(deliveries).rows()
    assert tuple(columns) == COLUMNS
    told = [(*row, row[-1]) for row in sorted(deliveries, key=lambda row: row[0])]
    assert list(zip(*columns.values(), strict=True)) == told
    rebuilt = Ledger.from_rows(columns)
    assert rebuilt.rows() == columns
    assert rebuilt.total() == sum(columns["payload_bytes"])


def test_bytes_without_a_codec_stand_beside_those_that_were_sent() -> None:
    ledger = ledger_of(DELIVERIES)
    assert ledger.fp32_total() == ledger.total()
    assert ledger.fp32_by_kind() == ledger.by_kind()
    ledger.record(3, 0, 0, 1, "embeddings", 25, 100)
    assert (ledger.total(), ledger.fp32_total()) == (353, 428)
    assert ledger.fp32_by_kind() == {"control": 1, "embeddings": 420, "metrics": 7}
    assert Ledger.from_rows(ledger.rows()).fp32_by_kind() == ledger.fp32_by_kind()


def test_reading_does_not_stop_the_recording() -> None:
    ledger = ledger_of(DELIVERIES)
    ledger.by_edge()
    ledger.for_round(0)
    ledger.record(0, 2, 1, 2, "metrics", 3)
    assert ledger.for_round(0)[2] == (0, 3)
    assert pickle.loads(pickle.dumps(ledger)).rows() == ledger.rows()


def test_refused_delivery_leaves_no_trace_in_the_sums() -> None:
    ledger = ledger_of(DELIVERIES)
    with pytest.raises(Exception, match="integer"):
        ledger.record(9, 0, 0, 1, "weights", 1.5)  # type: ignore[arg-type]
    assert ledger.total() == 328
    assert ledger.cumulative() == [(0, 227), (2, 328)]
    assert len(ledger.rows()["kind"]) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"hop": None},
        {"surprise": [1] * 5},
        {"hop": [0]},
        {"hop": [0.0] * 5},
        {"sender": [True] * 5},
        {"round": [-1] * 5},
        {"payload_bytes": [2**63] * 5},
        {"kind": [1] * 5},
    ],
    ids=str,
)
def test_damaged_rows_are_refused(change: dict[str, Any]) -> None:
    columns = {**ledger_of(DELIVERIES).rows(), **change}
    with pytest.raises(RecordError) as caught:
        Ledger.from_rows({name: values for name, values in columns.items() if values is not None})
    assert caught.value.expected
    assert caught.value.actual
    assert caught.value.hint


def test_repeated_rounds_count_like_recorded_ones() -> None:
    repeated = ledger_of(DELIVERIES)
    repeated.repeat(0, (5, 9))
    repeated.repeat(3, (7,))
    again = [(round, *row[1:]) for round in (5, 9) for row in DELIVERIES if row[0] == 0]
    assert repeated.rows() == ledger_of([*DELIVERIES, *again]).rows()
    assert repeated.total() == sum(row[-1] for row in [*DELIVERIES, *again])
    assert repeated.rows(9)["sender"] == [0, 1, 0]
    assert repeated.rows(9)["round"] == [9, 9, 9]
    assert not any(repeated.rows(7).values())
    repeated.record(*again[0])
    assert len(repeated.rows(5)["hop"]) == 4
    assert len(repeated.rows(0)["hop"]) == 3


def test_edges_of_a_round_are_those_of_its_deliveries_alone() -> None:
    ledger = ledger_of(DELIVERIES)
    assert ledger.edges_of_round(0) == {(0, 1): 107, (1, 0): 120}
    assert ledger.edges_of_round(2) == {(0, 2): 100, (2, 0): 1}
    assert ledger.edges_of_round(1) == {}
