"""Pairwise masks: vectors modulo 2^64 that are uniform one by one, and whose sum is that of the numbers.

Legend: P numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from protocols.messages.masked import KEY_BYTES

FRACTION = 24
"""Binary places of the fixed-point form: each number of a sum is off by up to 2^-25."""
_LARGEST = 2**53
"""Largest integer of one agent: sums of up to 1,023 agents do not wrap, and its float64 is exact."""

Words = NDArray[np.uint64]


def fixed_point(values: NDArray[np.floating]) -> Words:
    """Return numbers as integers modulo 2^64, clipped to magnitudes below 2^29.

    Example:
        >>> from_fixed_point(fixed_point(np.array([1.5, -2.25])) + fixed_point(np.array([1.0, 1.0])))
        array([ 2.5 , -1.25])
    """
    scaled = np.rint(values.astype(np.float64) * 2.0**FRACTION)
    return np.clip(scaled, -_LARGEST, _LARGEST).astype(np.int64).view(np.uint64)


def from_fixed_point(total: Words) -> NDArray[np.float64]:
    """Return the numbers that a sum of `fixed_point` vectors stands for."""
    return total.view(np.int64) / 2.0**FRACTION


def pair_seed(seed: int, one: int, other: int, round: int) -> bytes:
    """Return the secret that two agents share in a round, the same for both.

    It stands for a key agreement of theirs (Diffie-Hellman over the public keys that they exchange): here it
    derives from the run's seed, which a real master must not know.
    """
    named = repr((int(seed), "pair", min(one, other), max(one, other), int(round)))
    return hashlib.blake2b(named.encode(), digest_size=KEY_BYTES).digest()


def masked(values: Words, own: int, seeds: Mapping[int, bytes]) -> Words:
    """Add an agent's masks: of each pair, the agent of the lower number adds it, the other takes it away.

    Args:
        values: `[P]`.
        own: number of the agent.
        seeds: the secret that it shares with each other agent of the sum.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, 2017, the
    protocol for a master that is curious and honest, without the second mask of each agent.
    """
    total = values.copy()
    for other, seed in sorted(seeds.items()):
        mask = _mask(seed, len(values))
        if own < other:
            total += mask
        else:
            total -= mask
    return total


def leftover(agent: int, seeds: Mapping[int, bytes], size: int) -> Words:
    """Return the masks `[P]` that an agent added for others that dropped out, which no message cancels."""
    return masked(np.zeros(size, np.uint64), agent, seeds)


def _mask(seed: bytes, size: int) -> Words:
    draws = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "little")))
    return draws.integers(0, 2**64, size, dtype=np.uint64)
