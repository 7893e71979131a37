from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agentos.data.cleaning.seen_keys import SeenKeys

KEYS = st.one_of(st.integers(0, 12), st.integers(2**64 - 3, 2**64 - 1))


@given(st.lists(st.lists(KEYS, max_size=12), max_size=12))
def test_keys_are_new_once(batches: list[list[int]]) -> None:
    seen, known = SeenKeys(), set[int]()
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(key not in known)
            known.add(key)
        assert seen.add(np.array(batch, dtype=np.uint64)).tolist() == expected


def test_runs_stay_few() -> None:
    seen = SeenKeys()
    for start in range(0, 100_000, 100):
        assert seen.add(np.arange(start, start + 100, dtype=np.uint64)).all()
    assert len(seen._runs) <= 17
    assert sum(map(len, seen._runs)) == 100_000
