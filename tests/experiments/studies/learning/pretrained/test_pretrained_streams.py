"""Lives that start from a saved encoder: frozen agents against a slow reference, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.learning.curriculum import draw_up
from agentos.learning.life import LifeListener
from agents.answering.logistic import softmax
from agents.answering.streaming_ridge import StreamingRidge
from experiments.studies.learning.measured_stream import Measured, measure
from experiments.studies.learning.pretrained import pretrained_streams as study
from protocols.seeding import generator

LABELS, EACH, WIDTH = 8, 48, 96
"""An encoder wider than there are anchors."""


@pytest.fixture
def source(tmp_path: Path, sentences: tuple[str, ...]) -> Path:
    """Documents of labels that prefer some words to others."""
    rng = generator(0, "documents")
    words = sorted({word for sentence in sentences for word in sentence.split()})
    lines = []
    for label in range(LABELS):
        own = rng.permutation(words)[:4]
        for _ in range(EACH):
            drawn = [*rng.choice(own, 5), *rng.choice(words, 5)]
            lines.append(json.dumps({"text": " ".join(drawn), "label": f"label {label}"}))
    file = tmp_path / "documents.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def encoder(tmp_path: Path, tokenizer: Any) -> str:
    """Folder of an encoder of six narrow layers."""
    import torch
    from transformers import BertConfig, BertModel

    sizes: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 16,
        "num_attention_heads": 2,
    }
    config = BertConfig(vocab_size=len(tokenizer), num_hidden_layers=6, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    return str(tmp_path / "encoder")


def test_frozen_agents_answer_by_all_labelled_texts_so_far(source: Path, encoder: str) -> None:
    start = study.STARTS["frozen"]
    life = study.life_of(start, "newsgroups", source, seed=1, encoder=encoder)
    life = life.model_copy(
        update={"set": {**life.set, "training": {**life.set["training"], "precision": "fp32"}}}
    )
    found = measure(life, start.rounds, start.heads, ahead=False)
    assert found.spent["tokens"] == 0

    known = draw_up(life, LifeListener())
    points = LoadedEncoder.load(encoder, max_length=32).embed(known.text.texts).astype(np.float64)
    points -= points[known.corpus.anchors].mean(axis=0)
    ridges = [StreamingRidge.begin(np.zeros(WIDTH), LABELS)] * 2
    for number, episode in enumerate(known.episodes):
        labels = {int(row): int(known.codes[row]) for row in episode.labelled}
        for agent, member in enumerate(known.members(episode, labels)):
            ridges[agent] = ridges[agent].learn(points[member.labelled], member.classes)
        for test, accuracy in zip(known.episodes, found.values["ridge"][number], strict=False):
            rows = test.test
            shares = [softmax(10.0 * ridge.head(1.0).scores(points[rows])) for ridge in ridges]
            right = np.mean(shares, axis=0).argmax(axis=1) == known.codes[rows]
            assert accuracy == pytest.approx(right.mean(), abs=1e-9)
    assert [len(row) for row in found.values["ridge"]] == [1, 2]
    assert found.values["ridge"][0][0] > 1.5 / LABELS


def measured(ridge: float, trained: float | None, memory: int) -> Measured:
    heads = {"ridge": ridge} | ({} if trained is None else {"trained": trained})
    return Measured(
        values={head: ((0.8,), (last, 0.6)) for head, last in heads.items()},
        before=dict.fromkeys(heads, ()),
        spent={"tokens": 1000, "message_bytes": 0, "memory_bytes": memory},
    )


def test_page_pairs_every_row_with_the_frozen_agents() -> None:
    found = {
        "frozen": [measured(0.7, None, 4000), measured(0.6, None, 4000)],
        "er": [measured(0.5, 0.3, 24_000), measured(0.44, 0.24, 24_000)],
    }
    text = study.page({"newsgroups": found}, seeds=2)
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    cells = {(row[0].strip(), row[1].strip()): [cell.strip() for cell in row[2:]] for row in rows}
    assert cells["er", "ridge"][0].startswith("0.535")  # (0.5 + 0.6) / 2 and (0.44 + 0.6) / 2
    assert cells["er", "ridge"][2].startswith("-0.090")  # -0.1 and -0.08
    assert cells["er", "trained"][4].startswith("-0.380")  # -0.4 and -0.36
    assert cells["er", "ridge"][6] == "10.0 kB"
    assert cells["frozen", "ridge"][2:4] == ["–", "–"]
    assert ("frozen", "trained") not in cells
    assert "seen the world" in text
