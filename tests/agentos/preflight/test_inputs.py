"""Runs that cannot work are refused at a look: by validate, by check, and by run before text is prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.config.load import load, ready_made
from agentos.data.corpus import Corpus
from agentos.events import Listener
from protocols.errors import AgentOSError, ConfigurationError, DataError


class NoText(Listener):
    """Fails the test when text is prepared."""

    def on_stage(self, what: str) -> None:
        raise AssertionError(what)

    def on_corpus(self, corpus: Corpus) -> None:
        raise AssertionError("text was prepared")


UNLABELLED = {"source": {"kind": "jsonl", "path": "corpus.jsonl"}, "anchors": 32}
IMPOSSIBLE: dict[str, tuple[dict[str, Any], type[AgentOSError], str]] = {
    "missing file": (
        {"data": {"source": {"kind": "jsonl", "path": "nope.jsonl"}}},
        DataError,
        "there is no file or folder",
    ),
    "missing column": (
        {"data": {"source": {"kind": "jsonl", "path": "corpus.jsonl", "text": "body"}}},
        DataError,
        "has no column 'body'",
    ),
    "missing anchors": (
        {"data": {**UNLABELLED, "anchor_source": {"kind": "text", "path": "nowhere"}}},
        DataError,
        "there is no file or folder",
    ),
    "missing package": (
        {"data": {"source": {"kind": "docstrings", "packages": ["nopackage"]}}},
        DataError,
        "package 'nopackage' is not installed",
    ),
    "partition by label without labels": (
        {"data": {**UNLABELLED, "partition": "by_label"}},
        ConfigurationError,
        "the partition 'by_label' needs labels",
    ),
    "Dirichlet partition without labels": (
        {"data": {**UNLABELLED, "partition": "dirichlet"}},
        ConfigurationError,
        "the partition 'dirichlet' needs labels",
    ),
    "probe without labels": (
        {"data": UNLABELLED, "evaluation": {"tasks": ["probe"]}},
        ConfigurationError,
        "'probe' needs labels",
    ),
    "perplexity with a masked head": (
        {
            "objectives": ["info_nce", "masked_lm"],
            "evaluation": {"tasks": ["perplexity"]},
        },
        ConfigurationError,
        "'perplexity' needs a causal language-model head",
    ),
    "masked accuracy without a head": (
        {"evaluation": {"tasks": ["masked_accuracy"]}},
        ConfigurationError,
        "'masked_accuracy' needs a masked language-model head",
    ),
    "too few documents for retrieval": (
        {"data": {**UNLABELLED, "heldout_limit": 10}, "evaluation": {"tasks": ["retrieval"]}},
        ConfigurationError,
        "'retrieval' cannot be computed",
    ),
    "too few documents for labels": (
        {
            "data": {
                **UNLABELLED,
                "limit": 40,
                "source": {**UNLABELLED["source"], "label": "label"},
            },  # type: ignore[dict-item]
            "evaluation": {"tasks": ["knn"]},
        },
        ConfigurationError,
        "'knn' cannot be computed",
    ),
    "fewer documents than anchors": (
        {"data": {**UNLABELLED, "limit": 30}},
        ConfigurationError,
        "there are too few documents",
    ),
    "missing pairs": (
        {"evaluation": {"tasks": [{"kind": "sts", "path": "pairs.jsonl"}]}},
        DataError,
        "pairs.jsonl",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_run_is_refused_before_text_is_prepared(
    case: str,
    small: Callable[..., RunConfig],
    small_values: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes, error, message = IMPOSSIBLE[case]
    corpus = Path(small_values["data"]["source"]["path"])
    (tmp_path / "corpus.jsonl").write_bytes(corpus.read_bytes())
    monkeypatch.chdir(tmp_path)
    config = RunConfig.model_validate(
        {**small_values, "evaluation": {"tasks": ["geometry"]}, **changes}
    )
    with pytest.raises(error, match=message) as caught:
        Simulation(config, "out", NoText()).run()
    assert caught.value.hint
    assert not Path("out").exists()


def test_bad_first_record_is_passed_over_where_bad_records_are_skipped(
    small_values: dict[str, Any], tmp_path: Path
) -> None:
    corpus = Path(small_values["data"]["source"]["path"])
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"{}\n" + corpus.read_bytes())
    source = {**small_values["data"]["source"], "path": str(path)}
    data = {**small_values["data"], "source": source}
    with pytest.raises(DataError, match="line 1 has no column"):
        RunConfig.model_validate({**small_values, "data": data}).require_inputs()
    data["on_bad_record"] = "skip"
    RunConfig.model_validate({**small_values, "data": data}).require_inputs()


def test_ready_made_runs_are_possible() -> None:
    for name in ready_made():
        load(name).require_inputs()
