"""Knowledge of a society, on made-up embeddings: candidate classes, their names, and the weight of claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.learning.knowledge.claim_exchange import (
    EpisodeTexts,
    FramedOwnTexts,
    FramedTexts,
    LabelledTexts,
    StateClaims,
    extracted,
    frame_of_anchors,
    serialised,
)
from agentos.learning.knowledge.config import Knn, KnowledgeConfig
from agentos.learning.knowledge.novelty import ConformalKnn
from agentos.learning.knowledge.society_knowledge import SocietyKnowledge
from agentos.learning.knowledge.storage.claim_store import MemoryStore
from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
from agentos.preflight.flops import Size
from agents.knowledge.extract import Extracted, origin_of
from protocols.seeding import generator
from protocols.topologies import TOPOLOGIES

NAMES = ("red", "white", "town")
ANCHORS = tuple(f"anchor {i}" for i in range(8))


def points(texts: Any) -> np.ndarray:
    """Embed a text near the centre of its first word."""
    rows = []
    for text in texts:
        noise = generator(0, "embedding", text).standard_normal(8)
        rows.append(6 * np.eye(8)[NAMES.index(text.split()[0])] + 0.3 * noise)
    return np.stack(rows).astype(np.float32)


class Embedding:
    """A session of two agents that embed alike."""

    def ask_all(self, call: Any) -> dict[int, Any]:
        if isinstance(call, StateClaims):
            return {
                agent: self._stated(agent, own, call.episode) for agent, own in call.known.items()
            }
        if isinstance(call, FramedOwnTexts):
            return {agent: (points(own), len(own)) for agent, own in call.texts.items() if own}
        assert isinstance(call, FramedTexts)
        return {agent: (points(call.texts), len(call.texts)) for agent in (0, 1)}

    def _stated(self, agent: int, own: LabelledTexts, episode: int) -> tuple[bytes, int]:
        origins = [origin_of(text) for text in own.texts]
        frame, source = frame_of_anchors(ANCHORS), f"agent-{agent}"
        known = Extracted(points(own.texts), own.labels, origins, frame, source, episode)
        return serialised(extracted(known, KnowledgeConfig()), agent, episode), len(own.texts)


def labelled(words: tuple[str, ...], agent: int, count: int = 8) -> LabelledTexts:
    texts = [f"{word} {agent} {i}" for word in words for i in range(count)]
    return LabelledTexts(texts, [text.split()[0] for text in texts])


@pytest.fixture
def base(tmp_path: Path):
    with KnowledgeBase.create(tmp_path / "kb", lambda folder: MemoryStore()) as base:
        yield base


def knowing(base: KnowledgeBase, **use: Any) -> SocietyKnowledge:
    return SocietyKnowledge(
        KnowledgeConfig(merge={"cosine": 0.9999}), Knn(k=4, **use), base, ANCHORS, NAMES
    )


DETECTOR = ConformalKnn(alpha=0.05, k=3)


def learn(
    society: SocietyKnowledge,
    words: tuple[str, ...],
    novel: dict[int, list[str]],
    n: int,
    novelty: ConformalKnn | None = DETECTOR,
):
    texts = EpisodeTexts(
        known={agent: labelled(words, agent + 10 * n) for agent in (0, 1) if words},
        unlabelled=novel,
        held=labelled(("red", "white"), 99, 15),
    )
    network = TOPOLOGIES["ring"].model_validate({}).build(2, 0)
    return society.learn(Embedding(), network, texts, n, novelty)  # type: ignore[arg-type]


def test_texts_that_are_novel_to_two_agents_become_a_class_until_it_has_a_name(
    base: KnowledgeBase,
) -> None:
    society = knowing(base)
    seen = {agent: [f"town {agent} seen {i}" for i in range(6)] for agent in (0, 1)}
    ledger = learn(society, ("red", "white"), seen, 0)
    assert society.record().candidate_classes == 1
    assert len(ledger.rows()["kind"]) == 4  # claims, and then novel clusters, both ways
    (waiting,) = society.state.with_status("candidate")
    assert waiting.sources == ("agent-0", "agent-1")
    assert set(waiting.origins) == {origin_of(t) for own in seen.values() for t in own}
    society.accept()
    later = knowing(base)
    learn(later, ("red", "white", "town"), {0: [], 1: []}, 1)
    assert later.state.claims[waiting.digest].status == "retracted"
    assert later.record().candidate_classes == 0


def test_texts_that_are_novel_to_one_agent_are_no_class(base: KnowledgeBase) -> None:
    society = knowing(base)
    learn(
        society, ("red", "white"), {0: [f"town {i}" for i in range(6)], 1: ["red x", "white y"]}, 0
    )
    assert society.record().candidate_classes == 0


@pytest.mark.parametrize(
    ("words", "novelty"), [(("red", "white"), None), ((), DETECTOR)], ids=["detector", "claims"]
)
def test_no_class_is_sought_without(
    base: KnowledgeBase, words: tuple[str, ...], novelty: ConformalKnn | None
) -> None:
    society = knowing(base)
    seen = {agent: [f"town {agent} seen {i}" for i in range(6)] for agent in (0, 1)}
    learn(society, words, seen, 0, novelty)
    assert society.record().candidate_classes == 0
    assert (len(society.state.claims) > 0) == bool(words)


def test_draft_reaches_the_log_when_it_is_accepted(base: KnowledgeBase) -> None:
    society = knowing(base)
    learn(society, ("red", "white"), {}, 0)
    told = society.record()
    assert base.records == 0
    assert told.records > 0
    society.accept()
    assert (base.records, base.state.digest()) == (told.records, told.digest)


def test_weight_follows_the_better_of_head_and_claims(base: KnowledgeBase) -> None:
    society, texts = knowing(base), ["red a", "white b", "red c"]
    learn(society, ("red", "white"), {}, 0)
    held = LabelledTexts(texts, [text.split()[0] for text in texts])
    truth = np.eye(3)[[0, 1, 0]]
    uniform = {agent: np.full((3, 3), 1 / 3) for agent in (0, 1)}
    society.calibrate(Embedding(), uniform, held)  # type: ignore[arg-type]
    assert society.weight == 1.0
    mixed = society.mixed(Embedding(), uniform, texts)  # type: ignore[arg-type]
    assert all((rows.argmax(axis=1) == [0, 1, 0]).all() for rows in mixed.values())
    society.weight = 0.25
    for agent, rows in society.mixed(Embedding(), uniform, texts).items():  # type: ignore[arg-type]
        np.testing.assert_allclose(rows, 0.75 / 3 + 0.25 * mixed[agent])
    society.calibrate(Embedding(), dict.fromkeys((0, 1), truth), held)  # type: ignore[arg-type]
    assert society.weight == 0.0
    assert society.mixed(Embedding(), uniform, texts) is uniform  # type: ignore[arg-type]


def test_work_counts_what_is_embedded_and_each_cosine(base: KnowledgeBase) -> None:
    society, texts = knowing(base), ["red a", "white b", "red c"]
    learn(society, ("red", "white"), {}, 0)
    tokens, compared = dict(society.work.tokens), society.work.comparison_flops
    held = LabelledTexts(texts, [text.split()[0] for text in texts])
    uniform = {agent: np.full((3, 3), 1 / 3) for agent in (0, 1)}
    society.calibrate(Embedding(), uniform, held)  # type: ignore[arg-type]
    assert society.work.tokens == {agent: count + 3 for agent, count in tokens.items()}
    one = 2 * len(ANCHORS) * len(society.state.with_status("accepted"))
    assert society.record().answer_flops == one > 0
    assert society.work.comparison_flops - compared == 2 * 3 * one
    size = Size(parameters=1000, layers=1, width=10)
    embedded = sum(size.flops(5, 0, count) for count in society.work.tokens.values())
    found = society.work.flops(dict.fromkeys((0, 1), size), 5)
    assert found == embedded + society.work.comparison_flops


def test_thinning_states_what_it_changes(base: KnowledgeBase) -> None:
    config = KnowledgeConfig(merge={"cosine": 0.9999}, exemplars=3)
    society = SocietyKnowledge(config, Knn(k=4), base, ANCHORS, NAMES)
    learn(society, ("red", "white"), {}, 0)
    told = society.record()
    assert told.thinned == 2 * (16 - 3)
    assert told.thinning_loss == 0.0  # both labels lie far apart
    left = [c for c in society.state.with_status("accepted") if c.kind == "exemplar"]
    assert len(left) == 6


def test_claims_in_fewer_dimensions_answer_alike_and_are_read_again(tmp_path: Path) -> None:
    config = KnowledgeConfig(merge={"cosine": 0.9999}, dimensions=3)
    held = labelled(("red", "white"), 99, 15)
    uniform = {agent: np.full((30, 3), 1 / 3) for agent in (0, 1)}
    seen = {agent: [f"town {agent} seen {i}" for i in range(6)] for agent in (0, 1)}
    folder, bases = tmp_path / "kb", []
    KnowledgeBase.create(folder, lambda folder: MemoryStore()).close()
    for episode, words in enumerate((("red", "white"), ("red", "white", "town"))):
        with KnowledgeBase.open(folder, lambda folder: MemoryStore()) as base:
            society = SocietyKnowledge(config, Knn(k=4), base, ANCHORS, NAMES, weight=1.0)
            learn(society, words, seen if episode == 0 else {}, episode)
            told = society.record()
            assert (told.dimensions, told.reduction_loss) == (3, 0.0)
            assert {len(c.embedding) for c in society.state.claims.values()} == {3}
            answers = society.mixed(Embedding(), uniform, held.texts)  # type: ignore[arg-type]
            right = [NAMES.index(label) for label in held.labels]
            assert all((rows.argmax(axis=1) == right).all() for rows in answers.values())
            society.accept()
            bases.append(base.state.reduced)
        assert KnowledgeBase.read(folder).state.digest() == told.digest
    assert bases[0] == bases[1] is not None
