from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agentos import RunConfig, Simulation
from agentos.evaluation.similarity import linear_cka
from agentos.events import Listener
from agentos.records.agent_similarity import (
    MAX_AGENTS,
    MAX_TEXTS,
    Sample,
    SimilarityRecorder,
    draw_sample,
    load_agent_similarity,
    measure,
)
from agentos.records.layout import EMBEDDINGS, SIMILARITY
from agentos.rounds.final_states import compare_agents
from agentos.runtime.base import Session
from agentos.runtime.host_calls import EmbedTexts, Explain
from agentos.simulation.preparation import prepare_corpus
from protocols.errors import RecordError


def corpus_of(anchors: int, labelled: bool = True) -> Any:
    return SimpleNamespace(
        anchors=np.arange(anchors),
        heldout=np.arange(1000, 1040),
        has_labels=labelled,
        texts=lambda rows: [f"word{row % 5} other{row % 5} text {row}" for row in rows],
        labels=lambda rows: ["ab"[row % 2] for row in rows],
    )


def test_few_anchors_and_agents_are_all_taken() -> None:
    sample = draw_sample(corpus_of(30), 5, 0)
    assert (len(sample.texts), sample.available, sample.source) == (30, 30, "anchors")
    assert sample.agents == (0, 1, 2, 3, 4)
    assert sample.names == ("a", "b")
    assert sample.groups[:4] == (0, 1, 0, 1)
    assert sample.labelled


def test_many_anchors_and_agents_are_thinned() -> None:
    sample = draw_sample(corpus_of(5000), 1000, 0)
    assert len(sample.texts) == MAX_TEXTS == len(set(sample.texts))
    assert len(sample.agents) == MAX_AGENTS == len(set(sample.agents))
    assert (sample.agents[0], sample.agents[-1], sample.available) == (0, 999, 5000)


def test_without_anchors_held_out_documents_are_taken_and_without_labels_clusters() -> None:
    sample = draw_sample(corpus_of(0, labelled=False), 2, 0)
    assert (len(sample.texts), sample.source, sample.labelled) == (40, "held-out documents", False)
    assert len(sample.names) == 8
    assert sample == draw_sample(corpus_of(0, labelled=False), 2, 0)
    together = {sample.groups[i] for i in range(0, 40, 5)}
    assert len(together) == 1


def test_run_records_the_embeddings_that_its_exported_encoders_give(
    finished: Any, cache: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    between = load_agent_similarity(finished.directory)
    assert between is not None
    corpus = prepare_corpus(finished.config, Listener(), cache)
    sample = draw_sample(corpus, finished.config.agents.total, finished.config.seed)
    assert between.sample.groups == sample.groups
    assert all(
        w.startswith(c)
        for w, c in zip(
            map(" ".join, map(str.split, sample.texts)), between.sample.texts, strict=True
        )
    )
    folder = finished.directory / "encoders" / "agent-2"
    model, tokenizer = (
        AutoModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    batch = tokenizer([sample.texts[0]], truncation=True, max_length=64, return_tensors="pt")
    states = model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    np.testing.assert_allclose(
        between.embeddings["together"][2][0],
        states[0].mean(dim=0).detach().numpy(),
        rtol=1e-3,
        atol=1e-5,
    )


def test_run_records_both_arms_matrices_and_confusions(finished: Any) -> None:
    between = load_agent_similarity(finished.directory)
    assert between is not None
    for arm in ("together", "isolated"):
        rows = between.embeddings[arm]
        assert list(rows) == [0, 1, 2, 3]
        matrix = np.array(between.matrices[arm]["linear_cka"])
        assert matrix[1, 3] == pytest.approx(linear_cka(rows[1], rows[3]))
        told = between.explained[arm][2]["probe"]
        right = np.trace(told["confusion"]) / np.sum(told["confusion"])
        accuracy = json.loads((finished.directory / "summary.json").read_text())
        accuracy = accuracy if arm == "together" else accuracy["isolated"]
        assert right == pytest.approx(accuracy["agents"]["agent-2"]["probe_accuracy"])
    assert not np.array_equal(between.embeddings["together"][0], between.embeddings["isolated"][0])


def test_run_records_nothing_where_that_is_asked(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(
        evaluation={"every": 2, "tasks": ["geometry"], "between_agents": False},
        baseline={"isolated": False},
        training={"rounds": 1, "local_steps": 1, "batch_size": 12, "max_length": 16},
    )
    Simulation(config, out=tmp_path / "run", cache=cache).run()
    assert load_agent_similarity(tmp_path / "run") is None
    assert "Similarity of the agents" not in (tmp_path / "run" / "report.html").read_text()


def test_every_host_embeds_its_own_agents_and_their_order_is_kept(tmp_path: Path) -> None:
    asked: dict[Any, Any] = {}

    class Half:
        placement = {0: 1, 1: 0, 2: 1}
        ask = Session.ask

        def call(self, calls: Any) -> Any:
            for host, call in calls.items():
                asked.setdefault(type(call), {})[host] = call.agents
            return {
                host: {
                    id: {} if isinstance(call, Explain) else np.eye(4, dtype=np.float32) + id
                    for id in call.agents
                }
                for host, call in calls.items()
            }

    sample = Sample(("a", "b c", "d", "e"), (0, 0, 1, 1), ("x", "y"), True, "anchors", 4, (0, 1, 2))
    compare_agents(Half(), SimilarityRecorder(tmp_path, sample), "together")  # type: ignore[arg-type]
    assert asked[EmbedTexts] == asked[Explain] == {1: (0, 2), 0: (1,)}
    between = load_agent_similarity(tmp_path)
    assert between is not None
    assert list(between.embeddings["together"]) == [0, 1, 2]
    assert between.matrices["together"] == measure(between.embeddings["together"])
    assert between.sample == sample


@pytest.mark.parametrize("name", [SIMILARITY, EMBEDDINGS])
def test_damaged_files_are_named(finished: Any, tmp_path: Path, name: str) -> None:
    for file in (SIMILARITY, EMBEDDINGS):
        (tmp_path / file).write_bytes((finished.directory / file).read_bytes())
    (tmp_path / name).write_bytes(b'{"sample": 3}')
    with pytest.raises(RecordError, match="damaged") as caught:
        load_agent_similarity(tmp_path)
    assert caught.value.hint
