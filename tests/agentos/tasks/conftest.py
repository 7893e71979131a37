"""A panel of three agents on made-up embeddings, one of them dear and good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from agentos.rounds.clock.timing import Timing
from agentos.tasks.cooperation import Embedded, Evidence, Member, Panel, Queries, Setting
from agentos.tasks.library import ModelCard
from agents.answering import Answers, Examples, out_of_fold
from agents.answering.adapt import Linear
from agents.answering.stacking import Stacking
from protocols.topologies import TOPOLOGIES

CLASSES, WIDTH, FIT, CALIBRATE, TEST = 3, 6, 90, 60, 80
NOISE = (0.9, 1.1, 0.5)
PARAMETERS = (1_000, 2_000, 50_000)


@dataclass(frozen=True)
class Bench:
    """Labels and embeddings of all texts, and what was fitted to them."""

    labels: np.ndarray
    rows: tuple[np.ndarray, ...]
    panel: Panel
    evidence: Evidence

    def queries(self, split: str) -> Queries:
        starts = {"fit": (0, FIT), "calibrate": (FIT, CALIBRATE), "test": (FIT + CALIBRATE, TEST)}
        start, count = starts[split]
        return Queries(split, np.arange(start, start + count))  # type: ignore[arg-type]

    def answers(self, agent: int, split: str) -> Answers:
        return self.panel.answer(agent, self.queries(split))[0]


def card(agent: int) -> ModelCard:
    return ModelCard(
        name=f"model-{agent}",
        path=f"/nowhere/{agent}",
        architecture="bert",
        parameters=PARAMETERS[agent],
        matrix_parameters=PARAMETERS[agent],
        layers=1,
        state_width=8,
        width=WIDTH,
        context=16,
        origin=f"{agent:032x}",
    )


@pytest.fixture(scope="session")
def bench() -> Bench:
    rng = np.random.default_rng(0)
    count = FIT + CALIBRATE + TEST
    labels = rng.integers(0, CLASSES, count)
    labels[:CLASSES] = range(CLASSES)
    means = rng.normal(size=(CLASSES, WIDTH))
    rows = tuple(means[labels] + noise * rng.normal(size=(count, WIDTH)) for noise in NOISE)
    fit = np.arange(FIT)
    members, evidence, calibrate = [], [], []
    for agent, mine in enumerate(rows):
        examples = Examples("fit", fit, mine[fit])
        head = Linear().fit(examples, labels[fit], CLASSES)
        found = out_of_fold(Linear(), examples, labels[fit], CLASSES, card(agent).origin).answers
        members.append(Member(card(agent), head, float(found.right(labels[fit]).mean()), 1.0))
        evidence.append(found)
        ids = np.arange(FIT, FIT + CALIBRATE)
        calibrate.append(head.answer(Examples("calibrate", ids, mine[ids]), card(agent).origin))

    def embed(agent: int, ids: np.ndarray) -> Embedded:
        return Embedded(rows[agent][ids], np.full(len(ids), 10 + agent))

    panel = Panel(tuple(members), CLASSES, 16, embed)
    found = Evidence(
        tuple(evidence),
        labels[fit],
        tuple(calibrate),
        labels[FIT : FIT + CALIBRATE],
        Stacking(),
        seed=0,
    )
    return Bench(labels, rows, panel, found)


@pytest.fixture
def setting() -> Callable[..., Setting]:
    def make(kind: str = "complete", **fields: object) -> Setting:
        parameters = fields.pop("topology", {})
        network = TOPOLOGIES[kind].model_validate({"kind": kind, **dict(parameters)}).build(3, 0)  # type: ignore[call-overload]
        both = [*network.edges, *((b, a) for a, b in network.edges)]
        timing = Timing(
            dict.fromkeys(range(3), 1e6),
            dict.fromkeys(both, 0.25),
            dict.fromkeys(both, 1e4),
            work="flops",
        )
        return Setting(network, timing, "task", **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def decoders(
    tokenizer: Any, sentences: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Two decoders of one vocabulary that have read two of the four topics each."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folders = []
    for number in range(2):
        config = GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=16,
            n_layer=1,
            n_head=2,
            n_positions=24,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
        )
        texts = [text for place, text in enumerate(sentences) if place % 4 // 2 == number]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=16, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            model = GPT2LMHeadModel(config)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
            for _ in range(25):
                optimizer.zero_grad()
                model(batch["input_ids"], labels=labels).loss.backward()
                optimizer.step()
        folder = tmp_path_factory.mktemp("decoders") / f"d{number}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders.append(str(folder))
    return folders
