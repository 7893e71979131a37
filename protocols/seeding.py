"""Random generators derived by name, never by call order.

The order of draws, the placement on hosts and restarts cannot change what is drawn.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends only on the run's seed and on the names.

    Args:
        seed: the run's seed.
        names: purpose of the numbers, for instance ``("batch", agent, round)``.

    Example:
        >>> derive(0, "batch", 3) == derive(0, "batch", 3)
        True
        >>> derive(0, "batch", 3) == derive(0, "batch", "3")
        False
    """
    # As plain int and str: the representation of a NumPy integer differs from that of its equal.
    plain = tuple(name if isinstance(name, str) else int(name) for name in names)
    digest = hashlib.blake2b(repr((int(seed), *plain)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose; see `derive`."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))
