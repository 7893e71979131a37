"""Decoders that write together over the wire, against the mixture computed in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos.tasks.config import GenerateTask
from agentos.tasks.library import read_cards
from agentos.tasks.society.hosted_decoders import Decoders
from agentos.tasks.society.saved_society import load_kept, save_society
from agentos.tasks.society.writing_society import Scored, WritingSociety
from agents.answering.writing.continuation import Continuation, write
from agents.answering.writing.mixture import Posterior, log_prior
from protocols.errors import ConfigurationError, HostLost

LENGTH = 12


def expected(made: WritingSociety, framed: list[np.ndarray], faulty: bool = False) -> Scored:
    """The answers that the asker receives, with all decoders on the host of this process."""
    with made.config.runtime.open(len(made.cards)) as session:
        return made.expected(framed, Decoders(session, made.cards, 1), faulty)


def society(folders: list[str], chosen: str = "posterior", **fields: Any) -> WritingSociety:
    task = {
        "kind": "generate",
        "source": {"kind": "jsonl", "path": "x.jsonl"},
        "max_length": LENGTH,
        "new_tokens": 6,
        **fields.pop("task", {}),
    }
    values = {"library": {"models": folders}, "task": task, **fields}
    cards = tuple(card for folder in folders for card in read_cards(Path(folder)))
    return WritingSociety(GenerateTask.model_validate(values), cards, chosen=chosen)


@pytest.fixture
def framed(decoders: list[str], sentences: tuple[str, ...]) -> list[np.ndarray]:
    (first, *_) = society(decoders).decoders()
    return [first.framed(text, LENGTH) for text in (*sentences[:5], "wave")]


def test_messages_carry_what_decoders_expect_and_all_of_it_counts(
    decoders: list[str], framed: list[np.ndarray]
) -> None:
    made = society(decoders)
    models = made.decoders()
    plain = [np.stack([each.token_log_probabilities(ids) for each in models]) for ids in framed]
    before = [each.flops for each in models]
    scored = expected(made, framed)
    for found, wanted in zip(scored.logs, plain, strict=True):
        assert found == pytest.approx(wanted, abs=1e-4)
    talk = scored.traffic
    spent = sum(each.flops - old for each, old in zip(models, before, strict=True))
    assert talk.flops.sum() == pytest.approx(spent)
    assert talk.payload_bytes.sum() == pytest.approx(talk.ledger.total())
    assert set(talk.ledger.by_kind()) == {"next_tokens", "verdict"}
    assert talk.makespan_s > 0


def test_fewer_tokens_sent_cost_fewer_bytes_and_leave_the_rest_even(
    decoders: list[str], framed: list[np.ndarray]
) -> None:
    whole, part = (expected(society(decoders, task={"sent": sent}), framed) for sent in (None, 3))
    assert part.traffic.ledger.total() < whole.traffic.ledger.total() / 4
    size = len(society(decoders).decoders()[0].tokenizer)
    for one, other in zip(whole.logs, part.logs, strict=True):
        named = np.isclose(one, other, atol=1e-6)
        assert (
            np.exp(other[~named]) < 1 / 3
        ).all()  # a token that is not named is less than the third
    assert size > 10


def test_portions_of_texts_change_nothing(
    decoders: list[str], framed: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = expected(society(decoders), framed)
    monkeypatch.setattr("agentos.tasks.society.writing_society._CELLS", 1)
    parts = expected(society(decoders), framed)
    for one, other in zip(whole.logs, parts.logs, strict=True):
        assert np.array_equal(one, other)
    assert parts.traffic.flops.sum() == pytest.approx(whole.traffic.flops.sum())


def test_continuation_is_that_of_the_mixture_in_one_place(decoders: list[str]) -> None:
    made = society(decoders)
    models = made.decoders()
    how = Continuation(mixture=Posterior(), max_new_tokens=6)
    prompt = models[0].framed("wave tide", 100, ends=False)
    expected = write(models, prompt, how, text=3, seed=made.config.seed)
    written = made.write("wave tide", 3)
    assert written.continuation == models[0].tokenizer.decode(expected, skip_special_tokens=True)
    assert sum(written.weights.values()) == pytest.approx(1)
    assert written.payload_bytes > 0
    alone = society(decoders, chosen="single").write("wave tide", 3)
    assert alone.payload_bytes == 0
    assert alone.flops < written.flops


def test_agent_that_is_lost_expects_every_token_alike(
    decoders: list[str], framed: list[np.ndarray]
) -> None:
    whole = expected(society(decoders), framed)
    faults = [{"kind": "kill", "agent": 1, "rounds": 1}]
    less = expected(society(decoders, faults=faults), framed, True)
    size = len(society(decoders).decoders()[0].tokenizer)
    for one, other in zip(whole.logs, less.logs, strict=True):
        assert np.array_equal(one[0], other[0])
        assert other[1] == pytest.approx(np.full(other.shape[1], -np.log(size)))
    dropped = [{"kind": "drop", "share": 1.0, "rounds": 1}]
    silent = expected(society(decoders, faults=dropped), framed, True)
    assert silent.logs[0][1] == pytest.approx(np.full(len(framed[0]) - 1, -np.log(size)))
    every = [{"kind": "kill", "agent": agent, "rounds": 1} for agent in (0, 1)]
    with pytest.raises(HostLost):
        expected(society(decoders, faults=every), framed, True)


def test_copies_of_a_decoder_write_as_one(decoders: list[str], framed: list[np.ndarray]) -> None:
    first, second = society(decoders), society(decoders)
    copies = WritingSociety(second.config, (*second.cards, second.cards[1]), chosen="posterior")
    mixed = []
    for made in (first, copies):
        logs = expected(made, framed).logs
        prior = log_prior([card.origin for card in made.cards])
        mixed.append([Posterior().token_log_probabilities(each, prior) for each in logs])
    for one, other in zip(*mixed, strict=True):
        assert one == pytest.approx(other)


def test_saved_society_writes_the_same_and_long_prompts_are_refused(
    decoders: list[str], tmp_path: Path
) -> None:
    made = society(decoders)
    save_society(made, tmp_path)
    again = load_kept(tmp_path)
    assert isinstance(again, WritingSociety)
    assert again.write("field wheat", 0) == made.write("field wheat", 0)
    with pytest.raises(ConfigurationError, match="prompt"):
        made.write("wave " * 100, 0)
