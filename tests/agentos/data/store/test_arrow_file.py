from __future__ import annotations

from pathlib import Path

import numpy as np

from agentos.data.sources.base import Document
from agentos.data.store.arrow_file import TextReader, drop_rows, writing


def written(path: Path) -> Path:
    with writing(path) as append:
        for start in (0, 4, 5):
            rows = range(start, {0: 4, 4: 5, 5: 12}[start])
            append([Document(f"{row}", f"text {row}") for row in rows])
    return path


def test_texts_are_read_in_the_order_of_the_rows(tmp_path: Path) -> None:
    reader = TextReader(written(tmp_path / "a.arrow"))
    for rows in ([0, 3, 4, 11], [11, 0, 5, 5], [], range(12)):
        assert list(reader.texts(rows)) == [f"text {row}" for row in rows]


def test_rows_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.arrow")
    drop_rows(path, np.isin(np.arange(12), [1, 4, 11]))
    left = [0, 2, 3, 5, 6, 7, 8, 9, 10]
    assert list(TextReader(path).texts(range(9))) == [f"text {row}" for row in left]
    assert [file.name for file in tmp_path.iterdir()] == ["a.arrow"]
