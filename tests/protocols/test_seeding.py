from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocols.seeding import derive, generator

NAMES = st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=4).map(tuple)


def test_seed_is_the_low_bits_of_a_hash_of_the_names() -> None:
    digest = hashlib.blake2b(b"(7, 'batch', 3)", digest_size=8).digest()
    assert derive(7, "batch", 3) == int.from_bytes(digest, "little") // 2


@given(seed=st.integers(), names=NAMES)
def test_seed_has_63_bits(seed: int, names: tuple[str | int, ...]) -> None:
    assert 0 <= derive(seed, *names) < 2**63


@given(first=NAMES, second=NAMES)
def test_different_names_give_different_seeds(
    first: tuple[str | int, ...], second: tuple[str | int, ...]
) -> None:
    assert (derive(0, *first) == derive(0, *second)) == (first == second)


def test_names_are_neither_joined_nor_converted() -> None:
    seeds = {derive(0, "a", "bc"), derive(0, "ab", "c"), derive(0, "abc"), derive(0, "a, bc")}
    seeds |= {derive(0, 1), derive(0, "1"), derive(1), derive(0)}
    assert len(seeds) == 8


def test_numbers_depend_on_the_name_and_not_on_who_drew_before() -> None:
    alone = generator(5, "views", 2).standard_normal(4)
    generator(5, "views", 1).standard_normal(100)
    np.random.default_rng(0).standard_normal(10)
    assert np.array_equal(generator(5, "views", 2).standard_normal(4), alone)
    assert not np.array_equal(generator(5, "views", 3).standard_normal(4), alone)
    assert not np.array_equal(generator(6, "views", 2).standard_normal(4), alone)


def test_seed_is_the_same_in_another_process_whatever_its_hash_seed() -> None:
    code = "from protocols.seeding import derive; import sys; sys.stdout.write(str(derive(1, 'x')))"
    environment = {**os.environ, "PYTHONHASHSEED": "1234"}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True
    ).stdout
    assert int(output) == derive(1, "x")
