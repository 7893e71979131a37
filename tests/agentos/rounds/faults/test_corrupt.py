"""Damage is of as many bits as are asked for, each flipped once, in a copy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from agentos.rounds.faults.base import FaultContext
from agentos.rounds.faults.corrupt import Flip

MESSAGE = np.array([0, 255, 0b10100101, 7], np.uint8)


@pytest.mark.parametrize(("bits", "flipped"), [(1, 1), (5, 5), (32, 32), (33, 32)])
def test_bits_are_flipped_once_in_a_copy(bits: int, flipped: int) -> None:
    before = MESSAGE.copy()
    flip = Flip(bits, FaultContext(0, 0, 1), 0, 1)
    damaged = flip(MESSAGE)
    assert int(np.unpackbits(damaged ^ MESSAGE).sum()) == flipped
    np.testing.assert_array_equal(MESSAGE, before)
    assert not damaged.flags.writeable
    np.testing.assert_array_equal(flip(MESSAGE), damaged)


def test_every_bit_may_be_flipped_and_places_depend_on_sender_and_receiver() -> None:
    places: list[int] = []
    for ends in itertools.product(range(20), repeat=2):
        flipped = Flip(1, FaultContext(0, 0, 1), *ends)(MESSAGE) ^ MESSAGE
        places += np.flatnonzero(np.unpackbits(flipped)).tolist()
    assert len(places) == 400
    assert set(places) == set(range(32))
