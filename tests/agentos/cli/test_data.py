from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agentos.cli.data import configuration
from agentos.cli.main import app
from agentos.data.summary import Summary, histogram, label_skew
from agentos.reporting.charts.corpus_figure import draw_corpus
from agentos.reporting.pictures import to_svg
from protocols.errors import AgentOSError, ConfigurationError


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Callable[..., str]:
    """Run ``agentos data`` in an empty folder and return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object) -> str:
        result = CliRunner().invoke(app, ["data", *map(str, arguments)])
        if result.exception:
            raise result.exception
        return result.output

    return call


def test_run_is_told_with_its_counts_and_drawn(
    told: Callable[..., str], config_file: Path, tmp_path: Path
) -> None:
    output = told(config_file, "--out", "who/reads.svg")
    for fact in ("240 documents", "148 private, 32 anchors, 60 held out", "4 labels", "sentences"):
        assert fact in output
    assert "reads.svg" in output
    figures = json.loads(told(config_file, "--json"))
    assert (figures["documents"]["train"], figures["documents"]["heldout"]) == (148, 60)
    assert sum(agent["documents"] for agent in figures["agents"]) == 148
    svg = (tmp_path / "who" / "reads.svg").read_text(encoding="utf-8")
    for name in ("sea", "farm", "town", "sky", "agent-3"):
        assert f">{name}<" in svg
    # The picture says by itself how the text was divided, and how unlike the agents are.
    for told_twice in ("dirichlet, alpha 1.0", "seed 0", "Jensen-Shannon skew of labels 0."):
        assert told_twice in output
        assert told_twice in svg


@pytest.mark.parametrize(
    ("table", "skew"),
    [
        ([[4, 0], [0, 9]], 1.0),
        ([[1, 3], [2, 6], [4, 12]], 0.0),
        ([[1, 0], [1, 1]], 0.3113),  # H(3/4, 1/4) - log(2)/2, over log 2
        ([[5, 5]], None),
        (np.zeros((3, 0)), None),
    ],
)
def test_skew_of_labels_is_the_divergence_over_its_most(table: Any, skew: float | None) -> None:
    found = label_skew(np.array(table))
    assert found == (None if skew is None else pytest.approx(skew, abs=1e-4))


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.parquet", "x.txt"])
def test_bare_file_is_told(told: Callable[..., str], tmp_path: Path, name: str) -> None:
    texts = [f"Text number {n} has a few words. It says {n * n} too!" for n in range(40)]
    path = tmp_path / name
    if name == "x.parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"text": texts}), path)
    else:
        lines = {
            ".jsonl": "".join(json.dumps({"text": text}) + "\n" for text in texts),
            ".csv": "text\n" + "\n".join(texts),
            ".txt": "\n\n".join(texts),
        }[Path(name.removesuffix(".gz")).suffix]
        path.write_bytes(gzip.compress(lines.encode()) if ".gz" in name else lines.encode())
    output = told(path, "agents.count=3", "data.tokenizer.vocabulary_size=300")
    assert "40 documents" in output
    assert "36 private, 0 anchors, 4 held out" in output
    assert "80, 2.0 a document" in output
    assert (tmp_path / "data.png").read_bytes().startswith(b"\x89PNG")


def test_too_many_unknown_tokens_are_shown_and_not_refused(
    told: Callable[..., str], tmp_path: Path
) -> None:
    letters = [chr(0x4E00 + n) for n in range(4000)]
    texts = ["".join(letters[i : i + 10]) for i in range(0, 4000, 10)]
    (tmp_path / "x.txt").write_text("\n\n".join(texts), encoding="utf-8")
    output = told("x.txt", "data.tokenizer.vocabulary_size=300")
    assert "a run is refused above 2.00%" in output


def test_bad_record_is_named_or_counted(told: Callable[..., str], tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"some words about number {n}"}) for n in range(30)]
    lines[4], lines[7], lines[9] = '{"text": ', '{"txt": "a"}', "caf\udce9"
    path = tmp_path / "x.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(AgentOSError, match=r"x\.jsonl, line 5: not valid JSON"):
        told(path)
    output = told(path, "data.on_bad_record=skip", "data.tokenizer.vocabulary_size=300")
    assert "3 bad (1 json, 1 missing column, 1 encoding)" in output


def test_unknown_files_and_fields_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no configuration"):
        configuration("nowhere", [])
    with pytest.raises(ConfigurationError, match=r"data\.source\.txt"):
        configuration("x.csv", ["data.source.txt=body"])


def summary(agents: int, labels: int) -> Summary:
    rng = np.random.default_rng(0)
    return Summary(
        counts={},
        names=tuple(f"agent-{agent}" for agent in range(agents)),
        lengths=rng.integers(1, 512, size=1000),
        sentences=10,
        vocabulary=300,
        unknown=0.0,
        documents=rng.integers(10, 100, size=agents),
        tokens=rng.integers(1000, 9000, size=agents),
        labels=tuple(f"label ${label}" for label in range(labels)),
        by_label=rng.integers(0, 40, size=(agents, labels)),
    )


@pytest.mark.parametrize(("agents", "labels"), [(1, 1), (6, 0), (100, 20), (250, 0)])
def test_names_of_agents_and_labels_do_not_overlap(agents: int, labels: int) -> None:
    figure: Any = draw_corpus(summary(agents, labels), title="Title")
    figure.canvas.draw()
    right = figure.axes[1]
    boxes = [label.get_window_extent() for label in right.get_yticklabels()]
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(low[1] <= high[0] + 1 for low, high in pairwise(tops))
    assert "Title" in to_svg(figure)


def test_histogram_counts_every_length_once() -> None:
    lengths = np.array([0, 1, 1, 2, 3, 100])
    bounds, counts = histogram(lengths)
    assert bounds.tolist() == [0, 2, 4, 8, 16, 32, 64]
    assert counts.tolist() == [3, 2, 0, 0, 0, 0, 1]
