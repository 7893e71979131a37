from __future__ import annotations

import pytest

from experiments.studies.running import command


def test_command_hides_where_files_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["study", "newsgroups=/home/me/train.parquet", "/home/me/a b.parquet", "--seeds=3", "5"]
    monkeypatch.setattr("sys.argv", typed)
    expected = "python -m experiments.studies.it newsgroups=train.parquet 'a b.parquet' --seeds=3 5"
    assert command("it") == expected
