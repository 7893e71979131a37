"""Whole lives: learnt, refused, interrupted and taken up again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import draw_up
from agentos.learning.episode_knowledge import held_rows
from agentos.learning.knowledge.storage.claim_log import LOG
from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
from agentos.learning.learners import LEARNERS
from agentos.learning.life import Life, LifeListener, matrix
from agentos.learning.life_records import LIFE, LifeRecord
from agents.knowledge.extract import origin_of
from protocols.errors import ConfigurationError, RecordError


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a life by its name, but for the lock."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    kept = {name: path for name, path in found.items() if not name.startswith(".")}
    return {
        name: path.read_bytes()
        for name, path in kept.items()
        if "/." not in name and "/tables/" not in name  # a view of the log
    }


KNOWS = {"knowledge": {"per_label": 4}, "use": {"kind": "knn", "k": 4}}


class StopsAt(LifeListener):
    """Raises at a stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def on_stage(self, what: str) -> None:
        if what == self.stage:
            raise KeyboardInterrupt


@pytest.fixture
def live(cache: Path, tmp_path: Path):
    """Live a life in a folder of the test."""

    def go(config: LifeConfig, folder: str = "life", listener: LifeListener | None = None):
        return Life(config, tmp_path / folder, listener, cache=cache).run()

    return go


EVERYTHING = {
    **KNOWS,
    "novelty": {"alpha": 0.2, "k": 3},
    "label": {"kind": "committee", "precision": 0.6, "certainty": 0.6},
    "gate": {"drop": 0.9, "alpha": 0.4, "batch": 8, "looks": 1},
}
STEPS = (
    "labelling.committee.Committee.label",
    "episode_step.EpisodeStep._on_round",  # training
    "knowledge.claim_exchange.StateClaims.run",  # extraction
    "knowledge.society_knowledge.joined",  # fusion
    "episode_step.review",  # the gate
    "knowledge.storage.claim_log._write_synced",
    "life.write_life",
)
"""A function of each step of an episode, in order."""


def _die(*args: Any, **named: Any) -> None:
    """Kill this process; where bytes are to be written, once half of them are."""
    if isinstance(args[-1], bytes):
        os.write(args[0], args[-1][: len(args[-1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def _live_until(step: str, config: LifeConfig, folder: Path, cache: Path) -> None:
    with patch(f"agentos.learning.{step}", _die):
        Life(config, folder, cache=cache).run()


@pytest.mark.slow
def test_life_killed_in_every_step_of_an_episode_goes_on_to_the_same_bytes(
    life_of, live, tmp_path, cache
) -> None:
    config, folder = life_of(**EVERYTHING), tmp_path / "stopped"
    whole = live(config, "whole")
    assert whole.episodes[1].outcome == "accept"  # so that every step is come to
    with pytest.raises(KeyboardInterrupt):
        live(config, "stopped", StopsAt("Episode 2 of 3: labelling"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "transformers", "agentos.learning.life"])
    for step in STEPS:
        process = context.Process(target=_live_until, args=(step, config, folder, cache))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, step
        process.close()
        assert len(LifeRecord.model_validate_json((folder / LIFE).read_text()).episodes) == 1
    live(config, "stopped")
    assert files(folder) == files(tmp_path / "whole")


def test_records_are_of_every_episode_and_add_up(life_of, live, tmp_path) -> None:
    config = life_of(gate=None)
    record = live(config)
    assert LifeRecord.model_validate_json((tmp_path / "life" / LIFE).read_text()) == record
    assert [each.episode for each in record.episodes] == [0, 1, 2]
    assert [each.outcome for each in record.episodes] == ["first", "ungated", "ungated"]
    figures = matrix(record)
    assert figures.values.shape == (3, 3)
    assert record.episodes[1].spent["memory_bytes"] > 0
    assert all(each.spent["tokens"] > 0 for each in record.episodes)
    assert all(each.spent["message_bytes"] > 0 for each in record.episodes)
    report = (tmp_path / "life" / "report.md").read_text()
    assert f"| final accuracy | {figures.final_accuracy:.1%} |" in report


def test_refused_update_leaves_everything_as_it_was(life_of, live, tmp_path) -> None:
    # A margin that so few examples cannot show: all later episodes are refused.
    config = life_of(gate={"drop": 0.001, "batch": 8, "looks": 1})
    record = live(config)
    assert [each.outcome for each in record.episodes] == ["first", "refuse", "refuse"]
    assert all(each.states == 0 for each in record.episodes)
    assert all(each.digests == record.episodes[0].digests for each in record.episodes)
    assert all(each.accuracies == record.episodes[0].accuracies for each in record.episodes)
    alone = life_of(gate=None)
    with pytest.raises(KeyboardInterrupt):
        live(alone, "alone", StopsAt("Episode 2 of 3: learning"))
    kept, other = (
        {n: b for n, b in files(tmp_path / f).items() if n.startswith("states-0")}
        for f in ("life", "alone")
    )
    assert kept == other
    assert kept


@pytest.fixture
def halves(life_of, corpus_file: Path, tmp_path: Path):
    """A life of two episodes of the same four labels; the second can be poisoned.

    Every label of the second half is then called as the next one, and agent 1 sends noise.
    """

    def make(poisoned: bool) -> LifeConfig:
        lines = corpus_file.read_text(encoding="utf-8").splitlines()
        documents = [json.loads(line) for line in lines]
        names = [document["label"] for document in documents[:4]]
        for document in documents[120:] if poisoned else ():
            document["label"] = names[(names.index(document["label"]) + 1) % 4]
        path = tmp_path / f"{poisoned}.jsonl"
        path.write_text("\n".join(map(json.dumps, documents)) + "\n", encoding="utf-8")
        return life_of(
            {
                "data.source.path": str(path),
                "training.local_steps": 20,
                "training.learning_rate": 0.003,
                "faults": [{"kind": "byzantine", "agents": [1]}] if poisoned else [],
            },
            stream={"kind": "by_time", "episodes": 2, "labelled": 0.5, "gate": 0.4},
            learn="none",
            gate={"drop": 0.3, "alpha": 0.4, "batch": 100, "looks": 1, "per": ["episode"]},
        )

    return make


def test_poisoned_stream_is_stopped_by_the_gate_and_the_report_says_so(
    halves, live, tmp_path
) -> None:
    clean, poisoned = (live(halves(bad), f"poisoned {bad}").episodes[1] for bad in (False, True))
    assert "old examples lose" in "; ".join(poisoned.reasons)
    assert "old examples lose" not in "; ".join(clean.reasons)
    assert poisoned.outcome == "refuse"
    assert poisoned.states == 0
    report = (tmp_path / "poisoned True" / "report.md").read_text(encoding="utf-8")
    assert "- Episode 2: old examples lose" in report


def test_faults_of_the_run_strike_in_every_episode(life_of, live) -> None:
    whole, deaf = (
        live(life_of({"training.rounds": 2, "faults": faults}, learn="none", gate=None), name)
        for name, faults in (("whole", []), ("deaf", [{"kind": "drop"}]))
    )
    for heard, lost in zip(whole.episodes, deaf.episodes, strict=True):
        assert heard.spent["message_bytes"] == lost.spent["message_bytes"] > 0
        assert heard.digests != lost.digests


def test_gate_uses_every_example_in_one_decision_only(life_of, live) -> None:
    record = live(life_of())
    used = [each.gate_used for each in record.episodes]
    assert used[0] == ()
    assert used[2][: len(used[1])] == used[1]
    assert len(set(used[2])) == len(used[2])
    assert len(used[2]) > len(used[1]) > 0


@pytest.mark.parametrize("kind", LEARNERS)
def test_every_learner_lives(life_of, live, kind) -> None:
    record = live(life_of(learn=kind, gate=None, stream={"kind": "by_label", "labelled": 0.4}))
    assert [each.outcome for each in record.episodes] == ["first", "ungated"]
    keeps = {"none": 0, "frozen": 0}.get(kind, 1)
    assert (record.episodes[0].spent["memory_bytes"] > 0) >= keeps


def test_ridge_head_answers_from_the_first_episode_on(life_of, live) -> None:
    record = live(life_of(head="ridge", gate=None))
    assert max(record.before) > 0.0  # every class is as probable, and the first is answered
    assert record.episodes[0].accuracies[0] > 0.4
    texts = [each.spent["memory_bytes"] for each in record.episodes]
    assert min(texts) > 0


def test_frozen_encoders_learn_by_their_ridge_head_alone(life_of, live) -> None:
    record = live(life_of(head="ridge", learn="frozen", gate=None))
    assert record.episodes[0].spent["tokens"] > 0
    assert [each.spent["tokens"] for each in record.episodes[1:]] == [0, 0]
    assert record.episodes[2].accuracies[2] > record.episodes[1].accuracies[2]


TRAINED = {"training.local_steps": 30, "training.learning_rate": 0.003}
NOVELTY = {"alpha": 0.1, "k": 3}


def test_society_labels_what_it_knows_and_more_of_the_same_is_not_novel(life_of, live) -> None:
    # Two halves of one kind of text, and a demand that a small society can meet.
    config = life_of(
        TRAINED,
        stream={"kind": "by_time", "episodes": 2, "labelled": 0.5},
        label={"kind": "committee", "precision": 0.6, "certainty": 0.6},
        novelty=NOVELTY,
        gate=None,
    )
    first, second = live(config).episodes
    assert (first.automatic, first.coverage, first.novel) == (0, None, None)
    assert second.coverage is not None
    assert second.automatic == round(second.coverage * (second.train - second.labelled)) > 0
    assert second.precision is not None
    assert second.precision > 0.6
    assert second.novel is not None
    assert second.novel < 0.3


def test_new_labels_are_novel(life_of, live) -> None:
    stream = {"kind": "by_label", "per_episode": 2, "labelled": 0.4}
    first, second = live(life_of(TRAINED, stream=stream, novelty=NOVELTY, gate=None)).episodes
    assert first.novel is None
    assert second.novel > 0.5


def test_later_episodes_change_nothing_about_the_first(
    life_of, live, corpus_file: Path, tmp_path: Path
) -> None:
    config = life_of(gate=None)
    names = draw_up(config, LifeListener()).text
    episodes = draw_up(config, LifeListener()).episodes
    later = {row for e in episodes[1:] for part in (e.train, e.gate, e.test) for row in part}
    lines = corpus_file.read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in lines]
    assert len(documents) == len(names)
    for row in later:
        documents[row]["text"] = " ".join(f"other{row}x{i}" for i in range(30))
    changed = tmp_path / "corpus.jsonl"
    changed.write_text("\n".join(map(json.dumps, documents)) + "\n", encoding="utf-8")
    after = []
    for folder, path in (("before", corpus_file), ("changed", changed)):
        config = life_of({"data.source.path": str(path)}, gate=None)
        with pytest.raises(KeyboardInterrupt):  # the first is over then
            live(config, folder, StopsAt("Episode 2 of 3: learning"))
        record = LifeRecord.model_validate_json((tmp_path / folder / LIFE).read_text())
        after.append(record.episodes[0])
    assert after[0].digests == after[1].digests
    assert after[0].accuracies[0] == after[1].accuracies[0]


def test_parts_of_a_curriculum_do_not_meet(life_of) -> None:
    curriculum = draw_up(life_of(), LifeListener())
    parts = [curriculum.corpus.anchors]
    for episode in curriculum.episodes:
        parts += [episode.train, episode.gate, episode.test]
        shards = curriculum.shards(episode)
        np.testing.assert_array_equal(np.sort(np.concatenate(shards)), episode.train)
        labels = {int(row): int(curriculum.codes[row]) for row in episode.labelled}
        members = curriculum.members(episode, labels)
        assert all(set(each.labelled) <= set(each.rows) for each in members)
        known = np.sort(np.concatenate([each.labelled for each in members]))
        np.testing.assert_array_equal(known, episode.labelled)
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == len(together)
    assert set(curriculum.corpus.train) == set(curriculum.episodes[0].train)


def test_folder_of_another_life_is_refused(life_of, live) -> None:
    with pytest.raises(KeyboardInterrupt):
        live(life_of(gate=None, learn="none"), listener=StopsAt("Episode 2 of 3: learning"))
    with pytest.raises(RecordError, match="differs in learn"):
        live(life_of(gate=None, learn="er"))


def test_damaged_record_is_refused(life_of, live, tmp_path) -> None:
    config = life_of(gate=None)
    with pytest.raises(KeyboardInterrupt):
        live(config, listener=StopsAt("Episode 2 of 3: learning"))
    path = tmp_path / "life" / LIFE
    path.write_text(path.read_text()[:-20])
    with pytest.raises(RecordError, match=r"life\.json is damaged"):
        live(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"training.schedule": "cosine"}, "schedule"),
        ({"data.anchors": 200}, "anchors"),
    ],
)
def test_unfit_runs_are_refused(life_of, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        draw_up(life_of(fields), LifeListener())


@pytest.mark.ray
def test_ray_gives_the_same_bytes(life_of, live, warm, tmp_path) -> None:
    for folder, runtime in (("local", "local"), ("ray", warm)):
        live(life_of({"runtime": runtime}, **KNOWS), folder)
    assert files(tmp_path / "local") == files(tmp_path / "ray")


def test_life_keeps_what_it_learns_in_a_knowledge_base(life_of, live, tmp_path) -> None:
    config = life_of(gate=None, **KNOWS)
    record = live(config)
    base = KnowledgeBase.read(tmp_path / "life" / "knowledge")
    first, *_, last = [each.knowledge for each in record.episodes]
    assert first is not None
    assert last is not None
    assert (last.records, last.digest) == (base.records, base.state.digest())
    assert last.accepted_claims == len(base.state.with_status("accepted")) > 0
    assert last.records > first.records
    assert {claim.sources for claim in base.state.claims.values()} >= {("agent-0",), ("agent-1",)}
    assert 0 < last.message_bytes < record.episodes[-1].spent["message_bytes"]
    assert len(last.head_accuracies) == 3
    assert all(each.spent["claim_flops"] > 0 for each in record.episodes)
    assert last.answer_flops > 0
    curriculum = draw_up(config, LifeListener())  # claims rest on training text alone
    measured = [part for e in curriculum.episodes for part in (e.gate, e.test)]
    held = [held_rows(config, curriculum, number) for number in range(3)]
    assert min(len(rows) for rows in held) > 0
    known = {origin_of(text) for text in curriculum.texts(np.concatenate([*measured, *held]))}
    assert not known & {origin for c in base.state.claims.values() for origin in c.origins}


def test_refused_update_leaves_knowledge_as_it_was(life_of, live, tmp_path) -> None:
    record = live(life_of(gate={"drop": 0.001, "batch": 8, "looks": 1}, **KNOWS))
    assert [each.outcome for each in record.episodes] == ["first", "refuse", "refuse"]
    assert all(each.knowledge == record.episodes[0].knowledge for each in record.episodes)
    with pytest.raises(KeyboardInterrupt):
        live(life_of(gate=None, **KNOWS), "alone", StopsAt("Episode 2 of 3: learning"))
    kept, other = ((tmp_path / f / "knowledge" / LOG).read_bytes() for f in ("life", "alone"))
    assert kept == other


def test_correction_between_two_episodes_stays(life_of, live, tmp_path) -> None:
    config = life_of(gate=None, **KNOWS)
    with pytest.raises(KeyboardInterrupt):
        live(config, "life", StopsAt("Episode 2 of 3: learning"))
    with KnowledgeBase.open(tmp_path / "life" / "knowledge") as base:
        (wrong, *_) = base.state.with_status("accepted")
        base.move([wrong.digest], "retracted", "a reader knows better")
    live(config)
    state = KnowledgeBase.read(tmp_path / "life" / "knowledge").state
    assert state.claims[wrong.digest].status == "retracted"


def test_lost_knowledge_base_is_refused(life_of, live, tmp_path) -> None:
    config = life_of(gate=None, **KNOWS)
    with pytest.raises(KeyboardInterrupt):
        live(config, "life", StopsAt("Episode 2 of 3: learning"))
    (tmp_path / "life" / "knowledge" / LOG).unlink()
    with pytest.raises(RecordError, match="knowledge"):
        live(config)


def test_branch_goes_on_under_another_gate_as_if_it_had_been_there_from_then_on(
    life_of, live, tmp_path, cache
) -> None:
    strict = live(life_of(gate={"drop": 0.001, "batch": 8, "looks": 1}, **KNOWS), "strict")
    assert [each.outcome for each in strict.episodes] == ["first", "refuse", "refuse"]
    before = files(tmp_path / "strict")
    config = life_of(gate=None, **KNOWS)
    branched = Life(config, tmp_path / "branch", cache=cache).branch(tmp_path / "strict", after=1)
    assert [each.outcome for each in branched.episodes] == ["first", "ungated", "ungated"]
    assert branched.episodes == live(config, "whole").episodes
    assert files(tmp_path / "strict") == before
    for after, changes, message in (
        (1, {"learn": "none"}, "learn"),
        (9, {}, "9"),
        (None, {}, "folder without a life"),
    ):
        life = Life(life_of(**{**KNOWS, "gate": None, **changes}), tmp_path / "branch", cache=cache)
        if after is not None:
            life = Life(life.config, tmp_path / "other", cache=cache)
        with pytest.raises(RecordError, match=message):
            life.branch(tmp_path / "strict", after)
    with pytest.raises(RecordError, match="those of a later one"):
        Life(config, tmp_path / "other", cache=cache).branch(tmp_path / "branch", 1)
