"""A society that searches, on made-up embeddings: exact, counted, and honest when agents are lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentos.tasks.config import RankTask
from agentos.tasks.cooperation.panel import Embedded
from agentos.tasks.library import ModelCard
from agentos.tasks.society.saved_society import load_kept, save_society
from agentos.tasks.society.search_society import Holding, SearchSociety
from agents.answering.ranking.search import search, search_flops
from protocols.errors import HostLost

DOCUMENTS, QUERIES, WIDTH, DEPTH = 60, 12, 7, 10
IDS = np.arange(QUERIES)
WAYS = ("merge", "reciprocal_rank", "z_score")


def config(**fields: Any) -> RankTask:
    source = {"kind": "pairs", "path": "x.jsonl"}
    task = {"kind": "rank", "source": source, "depth": DEPTH, "max_length": 16}
    return RankTask.model_validate({"library": {"models": ["m"]}, "task": task, **fields})


def card(model: int) -> ModelCard:
    return ModelCard(
        name=f"model-{model}",
        path=f"/nowhere/{model}",
        architecture="bert",
        parameters=1000 * (model + 1),
        matrix_parameters=1000 * (model + 1),
        layers=1,
        state_width=8,
        width=WIDTH,
        context=16,
        origin=f"{model:032x}",
    )


def rows(model: int, count: int, what: int) -> np.ndarray:
    """Texts as a model reads them: a common part, and noise of its own."""
    common = np.random.default_rng(what).normal(size=(count, WIDTH))
    return (common + np.random.default_rng([model, what]).normal(size=(count, WIDTH))).astype("f4")


def society(models: int = 1, agents: int = 4, holders: int = 1, **fields: Any) -> SearchSociety:
    order = np.random.default_rng(5).permutation(DOCUMENTS)
    shares = np.array_split(order, agents)
    holdings = tuple(
        Holding(
            agent % models,
            np.sort(np.concatenate([shares[(agent - back) % agents] for back in range(holders)])),
        )
        for agent in range(agents)
    )
    corpus = tuple(f"document {number}" for number in range(DOCUMENTS))
    index = tuple(rows(model, DOCUMENTS, 1) for model in range(models))
    cards = tuple(map(card, range(models)))
    return SearchSociety(config(**fields), cards, holdings, corpus, index)


def embed(model: int, ids: np.ndarray) -> Embedded:
    return Embedded(rows(model, QUERIES, 2)[ids], np.full(len(ids), 9 + model))


@pytest.mark.parametrize("topology", ["master_slave", "ring", "layered"])
@pytest.mark.parametrize("holders", [1, 3])
def test_merge_of_one_encoder_is_a_central_search_to_the_bit(topology: str, holders: int) -> None:
    found = society(holders=holders, topology=topology).answer(IDS, embed, "merge").ranking
    central = search(
        IDS, rows(0, QUERIES, 2), np.arange(DOCUMENTS), rows(0, DOCUMENTS, 1), DEPTH, "a"
    )
    assert np.array_equal(found.candidates, central.candidates)
    assert found.scores.tobytes() == central.scores.tobytes()
    alone = society(holders=holders, topology=topology).answer(IDS, embed, "single")
    assert np.array_equal(alone.ranking.candidates, central.candidates)
    assert alone.payload_bytes.sum() == 0
    assert np.array_equal(alone.ranking.scores, central.scores)
    read = 9 * card(0).flops(16)
    assert alone.flops == pytest.approx(np.full(QUERIES, read + 2 * DOCUMENTS * WIDTH + 3 * WIDTH))


@pytest.mark.parametrize("way", WAYS[1:])
def test_no_agent_is_forgotten_in_flops_and_bytes(way: str) -> None:
    made = society(models=2)
    outcome = made.answer(IDS, embed, way)
    slow = 0.0
    for holding in made.holdings:
        read = (9 + holding.model) * made.cards[holding.model].flops(16)
        slow += read + search_flops(len(holding.documents), WIDTH)
        slow += 4 * len(holding.documents) if way == "z_score" else 0
    fusing = len(made.holdings) * DEPTH
    assert outcome.flops == pytest.approx(np.full(QUERIES, slow + fusing))
    assert outcome.payload_bytes.sum() == pytest.approx(outcome.ledger.total())
    assert set(outcome.ledger.by_kind()) == {"assignment", "ranked_answer"}


def test_relayed_messages_count_on_every_edge() -> None:
    star, ring = (
        society(models=2, topology=kind).answer(IDS, embed, "z_score")
        for kind in ("master_slave", "ring")
    )
    assert np.array_equal(star.ranking.candidates, ring.ranking.candidates)
    assert ring.payload_bytes.sum() > star.payload_bytes.sum()


@pytest.mark.parametrize("way", WAYS[1:])
def test_numbers_of_agents_do_not_matter(way: str) -> None:
    """Routing by an agent's place would show here."""
    made = society(models=2)
    turned = SearchSociety(
        made.config, made.cards, made.holdings[::-1], made.corpus, made.index, made.best
    )
    first, second = (each.answer(IDS, embed, way).ranking for each in (made, turned))
    assert np.array_equal(first.candidates, second.candidates)
    assert np.array_equal(first.scores, second.scores)


def test_what_a_lost_agent_holds_is_missing_and_nothing_else() -> None:
    faults = [{"kind": "kill", "agent": 2, "rounds": 1}]
    made = society(faults=faults)
    whole, less = (made.answer(IDS, embed, "merge", faulty=faulty) for faulty in (False, True))
    held = set(made.holdings[2].documents.tolist())
    assert held & set(whole.ranking.candidates.ravel().tolist())
    assert not held & set(less.ranking.candidates.ravel().tolist())
    assert any("agent 2" in each for each in less.lost)
    rest = np.setdiff1d(np.arange(DOCUMENTS), made.holdings[2].documents)
    central = search(IDS, rows(0, QUERIES, 2), rest, rows(0, DOCUMENTS, 1)[rest], DEPTH, "a")
    assert np.array_equal(less.ranking.candidates, central.candidates)


def test_lost_messages_leave_the_asker_its_own_shard_and_lost_asker_none_alone() -> None:
    made = society(faults=[{"kind": "drop", "share": 1.0, "rounds": 1}])
    outcome = made.answer(IDS, embed, "merge", faulty=True)
    assert set(outcome.found) == {0}
    gone = society(faults=[{"kind": "kill", "agent": 0, "rounds": 1}])
    with pytest.raises(HostLost, match="alone"):
        gone.answer(IDS, embed, "single", faulty=True)
    assert 0 not in gone.answer(IDS, embed, "merge", faulty=True).found


def test_saved_society_finds_the_same(tmp_path: Any) -> None:
    made = society(models=2).choosing("z_score", best=1)
    save_society(made, tmp_path)
    again = load_kept(tmp_path)
    assert isinstance(again, SearchSociety)
    assert (again.chosen, again.best, again.corpus) == ("z_score", 1, made.corpus)
    first, second = (each.answer(IDS, embed).ranking for each in (made, again))
    assert first.scores.tobytes() == second.scores.tobytes()
