"""Groups of texts that are near duplicates of each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from agentos.data.cleaning.config import NearDuplicates
from agentos.data.cleaning.minhash import signatures
from agentos.data.cleaning.near_duplicates import groups_of
from agentos.data.store.npy import NpyWriter

_BATCH = 4096


def resembling(texts: Sequence[str], config: NearDuplicates | None = None) -> NDArray[np.int64]:
    """Return the group of each text, `[N]`: equal numbers for near duplicates.

    Args:
        texts: N texts.
        config: what counts as a near duplicate.

    Example:
        >>> resembling(["a red wine", "a green field", "A red wine"]).tolist()
        [0, 1, 0]
    """
    config = config or NearDuplicates()
    with TemporaryDirectory(prefix="agentos-") as folder:
        path = Path(folder) / "signatures.npy"
        with NpyWriter(path, np.uint32, config.permutations) as writer:
            for start in range(0, len(texts), _BATCH):
                writer.append(signatures(texts[start : start + _BATCH], config))
        return groups_of(path, config)
