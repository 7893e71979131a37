from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentos.data.store.npy import NpyWriter, mapped
from protocols.errors import DataError


def test_pieces_read_back_as_one_array(tmp_path: Path) -> None:
    rows = np.arange(60, dtype=np.uint32).reshape(20, 3)
    with NpyWriter(tmp_path / "x.npy", np.uint32, 3) as writer:
        for start in range(0, 20, 7):
            writer.append(rows[start : start + 7])
    np.testing.assert_array_equal(mapped(tmp_path / "x.npy", np.uint32, 3), rows)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), rows)


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another width"), NpyWriter(tmp_path / "x", "i4", 3) as x:
        x.append(np.zeros((2, 2)))


@pytest.mark.parametrize(("dtype", "width"), [("i8", 3), ("i4", 2), ("i4", None)])
def test_another_type_or_width_is_refused(tmp_path: Path, dtype: str, width: int | None) -> None:
    with NpyWriter(tmp_path / "x.npy", "i4", 3) as writer:
        writer.append(np.zeros((2, 3)))
    with pytest.raises(DataError, match="does not hold"):
        mapped(tmp_path / "x.npy", dtype, width)
