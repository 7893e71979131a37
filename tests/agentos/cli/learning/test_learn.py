"""``agentos learn``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agentos.cli.main import app
from protocols.errors import ConfigurationError


@pytest.fixture
def file(small_values: dict[str, Any], tmp_path: Path, cache: Path, monkeypatch) -> Path:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    run = {
        **small_values,
        "data": {**small_values["data"], "anchors": 12, "partition": "iid"},
        "agents": {"count": 2, "encoder": {"preset": "nano"}},
        "exchange": "isolated",
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    life = {
        "from": str(tmp_path / "run.yaml"),
        "stream": {"kind": "by_label", "labelled": 0.4},
        "gate": {"drop": 0.001, "batch": 8, "looks": 1},
    }
    path = tmp_path / "life.yaml"
    path.write_text(yaml.safe_dump(life), encoding="utf-8")
    return path


def test_learn_prints_decisions_and_the_matrix_and_goes_on_from_records(file: Path) -> None:
    out = file.parent / "life"
    ended = CliRunner().invoke(app, ["learn", str(file), "learn=er", "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    assert "episode 1 of 2: the baseline; accuracy" in ended.output
    assert "episode 2 of 2: refused" in ended.output
    assert "is not shown" in ended.output
    assert "after 2" in ended.output
    record = json.loads((out / "life.json").read_text())
    (first, second) = record["episodes"][-1]["tests"]
    assert f"test 1 (n = {first})" in ended.output
    assert f"on all {first + second} texts" in " ".join(ended.output.split())
    assert [each["outcome"] for each in record["episodes"]] == ["first", "refuse"]
    again = CliRunner().invoke(app, ["learn", str(file), "learn=er", "--out", str(out), "--json"])
    assert again.exit_code == 0
    assert "episode 1" not in again.output  # nothing is left to learn
    assert json.loads(again.stdout) == {"life": str(out), **record}
    assert json.loads((out / "life.json").read_text()) == record


def test_follow_needs_the_stream_of_a_folder(file: Path) -> None:
    out = str(file.parent / "life")
    with pytest.raises(ConfigurationError, match="only a folder can be followed"):
        CliRunner().invoke(
            app, ["learn", str(file), "--follow", "--out", out], catch_exceptions=False
        )


def test_ready_made_life_is_valid() -> None:
    from agentos.learning.config import load_life

    path = Path(__file__).parents[4] / "experiments/learning/life.yaml"
    life = load_life(str(path))
    assert life.run().agents.total == 3
