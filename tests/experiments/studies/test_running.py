from __future__ import annotations

import pytest

from experiments.studies.running import command, corpus_of
from protocols.errors import ConfigurationError


def test_command_hides_where_files_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["study", "newsgroups=/home/me/train.parquet", "/home/me/a b.parquet", "--seeds=3", "5"]
    monkeypatch.setattr("sys.argv", typed)
    expected = "python -m experiments.studies.it newsgroups=train.parquet 'a b.parquet' --seeds=3 5"
    assert command("it") == expected


def test_a_corpus_has_a_file_or_none_and_others_are_refused_by_name() -> None:
    assert corpus_of("news=a=b.parquet", ["news", "poems"]) == ("news", "a=b.parquet")
    assert corpus_of("poems", ["news", "poems"]) == ("poems", "")
    with pytest.raises(ConfigurationError, match=r"'prose' is not a corpus.*news, poems"):
        corpus_of("prose", ["news", "poems"])
