"""``agentos explain`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation

TEXT = "The <b>quick</b> brown fox\x1b[31m jumps."


@pytest.fixture(scope="module")
def run(
    small_values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> Path:
    """A run of four encoders."""
    values = {
        **small_values,
        "training": {"rounds": 1, "local_steps": 2, "batch_size": 12, "max_length": 16},
        "evaluation": {"every": 1, "tasks": ["geometry"], "documents": 20},
        "baseline": {"isolated": False},
    }
    folder = tmp_path_factory.mktemp("explained") / "run"
    Simulation(RunConfig.model_validate(values), folder, cache=cache).run()
    return folder


def test_a_run_is_explained_with_its_anchors_and_a_page_that_escapes_the_text(run, call, tmp_path):
    page = tmp_path / "pages" / "explained.html"
    code, shown, err = call("explain", run, TEXT, "A slow cat.", "--agent", 1, "--page", page)
    assert code == 0, err
    assert "cosine to the other text" in shown
    assert "nearest public anchors" in shown
    assert "\x1b[31m" not in shown
    html = page.read_text()
    assert "<b>quick" not in html
    assert "&lt;" in html


def test_json_holds_both_methods_and_nothing_else_is_printed(run, call):
    code, shown, err = call("explain", run / "encoders" / "agent-0", TEXT, "--json")
    assert (code, err) == (0, "")
    found = json.loads(shown)
    assert {"integrated_gradients", "occlusion"} == set(found["checks"])
    assert found["anchors"] == []


def test_a_class_without_a_classifier_is_refused_with_a_hint(run, call):
    code, _, err = call("explain", run, TEXT, "--class", "auto")
    assert code == 2
    assert "no classifier" in err
    assert "leave out --class" in err


def test_a_life_is_refused_with_the_commands_that_explain_its_claims(call, tmp_path):
    (tmp_path / "life.json").write_text("{}")
    code, _, err = call("explain", tmp_path, TEXT)
    assert code == 2
    assert "agentos knowledge why" in " ".join(err.split())
