from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="measures memory as Unix does")

from experiments.benchmarks import large_corpus


def test_corpus_is_written_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["wave", "tide", "ship", "harbour", "salt", "fish", "net", "storm", "sail", "deck"]
    pool = [f"The {a} is {b} and {c}." for a in words for b in words for c in words]
    monkeypatch.setattr(large_corpus, "_sentences", lambda: pool)
    monkeypatch.setattr(large_corpus, "MEAN_CHARACTERS", 300)
    path = tmp_path / "corpus.jsonl"
    large_corpus.write_corpus(path, 500_000)
    again = tmp_path / "again.jsonl"
    large_corpus.write_corpus(again, 500_000)
    assert path.read_bytes() == again.read_bytes()
    assert 500_000 <= path.stat().st_size < 1_500_000
    result = json.loads(json.dumps(large_corpus.measure(path, tmp_path / "cache", agents=3)))
    counts = result["counts"]
    assert counts["read"] == len(path.read_text(encoding="utf-8").splitlines())
    assert counts["bad"] == counts["bad_json"] == counts["read"] / 1000
    assert counts["too_short"] == counts["read"] / 200
    assert counts["duplicates"] > 0
    assert counts["near_duplicates"] > 0
    page = large_corpus.page(result, path.stat().st_size)
    assert "| tokenise |" in page
