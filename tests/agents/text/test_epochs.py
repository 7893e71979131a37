from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.text.epochs import EpochReader, take, within_epoch

STREAMS = {
    "rows": st.integers(1, 30),
    "start": st.integers(0, 100),
    "counts": st.lists(st.integers(0, 30), max_size=6),
    "seed": st.integers(0, 5),
}


@given(**STREAMS)
def test_reader_equals_take_at_any_position(rows, start, counts, seed):
    values = np.arange(100, 100 + rows)
    reader = EpochReader(values, seed, "private", 3)
    for count in counts:
        count = min(count, rows)
        expected = take(values, start, count, seed, "private", 3)
        np.testing.assert_array_equal(reader.read(start, count), expected)
        start += count


@given(**STREAMS)
def test_take_from_any_position_continues_what_was_read_before(rows, start, counts, seed):
    values = np.arange(rows)
    read_through = take(values, 0, start + sum(counts), seed, "x")
    parts, position = [], start
    for count in counts:
        parts.append(take(values, position, count, seed, "x"))
        position += count
    np.testing.assert_array_equal(np.concatenate([values[:0], *parts]), read_through[start:])


@given(rows=st.integers(1, 40), seed=st.integers(0, 5))
def test_take_covers_every_row_once_in_each_epoch(rows, seed):
    values = np.arange(rows) * 7
    stream = take(values, 0, 3 * rows, seed, "x").reshape(3, rows)
    np.testing.assert_array_equal(np.sort(stream, axis=1), np.tile(values, (3, 1)))


def test_take_orders_epochs_seeds_and_names_differently():
    rows = np.arange(50)
    orders = [
        take(rows, 0, 50, 0, "a"),
        take(rows, 50, 50, 0, "a"),
        take(rows, 0, 50, 1, "a"),
        take(rows, 0, 50, 0, "b"),
        take(rows, 0, 50, 0, "a", 1),
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_reader_without_rows_reads_none():
    assert len(EpochReader(np.arange(0), 0, "anchors").read(0, 0)) == 0


@given(rows=st.integers(1, 30), count=st.integers(1, 30), seed=st.integers(0, 3))
def test_reads_within_epochs_never_hold_a_row_twice_and_skip_less_than_a_read(rows, count, seed):
    count = min(count, rows)
    values, position, per_epoch = np.arange(rows), 0, {}
    for _ in range(12):
        start = within_epoch(position, count, rows)
        assert 0 <= start - position < count
        read = take(values, start, count, seed, "x")
        assert len(set(read)) == count
        per_epoch.setdefault(start // rows, []).extend(read)
        position = start + count
    full = [read for epoch, read in sorted(per_epoch.items())[:-1]]
    assert all(len(read) == rows // count * count == len(set(read)) for read in full)


def test_position_stays_where_nothing_is_read():
    assert within_epoch(0, 0, 0) == 0
    assert within_epoch(7, 0, 5) == 7
