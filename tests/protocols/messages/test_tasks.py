"""Payloads of tasks: what is refused when they are built, and what is rejected on receipt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from protocols.codecs import CODECS
from protocols.errors import ConfigurationError, RejectedMessage
from protocols.messages import (
    Announcement,
    Answer,
    Assignment,
    Bid,
    Embeddings,
    Escalation,
    Message,
    NextTokens,
    Payload,
    RankedAnswer,
    Verdict,
)
from protocols.wire.serialize import decode, encode
from protocols.wire.validate import Expectation, admit

ORIGIN, OTHER = "0123456789abcdef", "f" * 64
IDS = np.array([5, 0, 2**40])
WORK: dict[str, Any] = {"task": "triage", "attempt": 1, "ids": IDS}
COST: dict[str, Any] = {"origins": (ORIGIN,), "flops": 1e9, "seconds": 0.5}
NO_MARKS = np.zeros(3, np.uint8)
FIELDS: dict[type[Payload], dict[str, Any]] = {
    Announcement: {"task": "triage", "classes": 2, "queries": 3, "tokens": 90.0, "floor": 0.5},
    Bid: {"task": "triage", **COST, "accuracy": 0.5, "examples": 9, "ready_s": 0.0},
    Assignment: {**WORK, "start_s": 1.0, "deadline_s": 2.0},
    Answer: {
        **WORK,
        **COST,
        "probabilities": np.full((3, 2), 0.5, np.float32),
        "abstains": NO_MARKS,
        "in_sample": NO_MARKS,
    },
    RankedAnswer: {
        **WORK,
        **COST,
        "candidates": np.array([[0, 1], [1, 0], [7, 2**40]]),
        "scores": np.zeros((3, 2), np.float32),
    },
    Escalation: {**WORK, "embeddings": np.ones((3, 4), np.float32)},
    Verdict: {
        "task": "triage",
        "ids": IDS,
        "origins": (ORIGIN, OTHER),
        "classes": 2,
        "decided": np.array([0, 1, 1], np.int32),
        "confidences": np.array([0.5, 1.0, 0.0], np.float32),
    },
    NextTokens: {
        **WORK,
        **COST,
        "vocabulary": ORIGIN,
        "size": 9,
        "step": 4,
        "tokens": np.array([[0, 1], [1, 0], [7, 8]], np.int32),
        "probabilities": np.array([[0.5, 0.5], [0.0, 0.0], [0.25, 0.5]], np.float32),
    },
}


def build(payload: type[Payload], **changes: Any) -> Payload:
    return payload(**{**FIELDS[payload], **changes})


@pytest.mark.parametrize("payload", FIELDS)
def test_task_payloads_pass_their_own_checks(payload: type[Payload]) -> None:
    build(payload).check_values(sender=1)


@pytest.mark.parametrize(
    ("payload", "changes"),
    [
        *((payload, {"task": name}) for payload in FIELDS for name in ("", "a b", "x" * 65)),
        *(
            (p, {"origins": o})
            for p in (Bid, Answer, Verdict)
            for o in ((), ("text",), (ORIGIN,) * 1025)
        ),
        *((p, {"flops": f}) for p in (Bid, Answer, RankedAnswer) for f in (-1.0, 2.0**101)),
        (Announcement, {"classes": 1}),
        (Announcement, {"queries": 0}),
        (Announcement, {"floor": 1.5}),
        (Bid, {"accuracy": -0.1}),
        (Bid, {"examples": 0}),
        (Bid, {"seconds": float("inf")}),
        (Assignment, {"deadline_s": 1.0}),
        (Assignment, {"attempt": -1}),
        (Assignment, {"ids": IDS.astype(np.int32)}),
        (Assignment, {"ids": IDS[:0]}),
        (Answer, {"ids": IDS[:2]}),
        (Answer, {"abstains": NO_MARKS[:2]}),
        (Answer, {"in_sample": NO_MARKS.astype(bool)}),
        (RankedAnswer, {"scores": np.zeros((3, 3), np.float32)}),
        (Escalation, {"embeddings": np.ones((2, 4), np.float32)}),
        (Verdict, {"confidences": np.ones(2, np.float32)}),
        (NextTokens, {"size": 1}),
        (NextTokens, {"vocabulary": "words"}),
        (NextTokens, {"tokens": np.zeros((3, 3), np.int32)}),
    ],
)
def test_task_payload_is_refused_when_a_field_does_not_fit(
    payload: type[Payload], changes: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        build(payload, **changes)


def test_escalation_holds_text_only_where_it_is_switched_on_by_name() -> None:
    assert build(Escalation).texts == ()  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="shares_text: true"):
        build(Escalation, texts=("a", "b", "c"))
    with pytest.raises(ValidationError, match="2 texts for 3 ids"):
        build(Escalation, shares_text=True, texts=("a", "b"))
    texts = ("a", "", "c")
    sent = build(Escalation, shares_text=True, texts=texts)
    message = Message.compose(sent, sender=0, round=0, hop=0)
    assert decode(encode(message)).payload.texts == texts  # type: ignore[attr-defined]


TWICE = np.array([5, 0, 5])


@pytest.mark.parametrize(
    ("payload", "changes", "reason"),
    [
        *((payload, {"ids": TWICE}, "not_ids") for payload in FIELDS if "ids" in FIELDS[payload]),
        (Assignment, {"ids": -IDS}, "not_ids"),
        *(
            (p, {"origins": (OTHER, OTHER)}, "not_origins")
            for p in (Answer, RankedAnswer, Verdict, Bid)
        ),
        (Answer, {"probabilities": np.ones((3, 2), np.float32)}, "not_probabilities"),
        (Answer, {"probabilities": np.full((3, 2), np.nan, np.float32)}, "not_finite"),
        (Answer, {"abstains": NO_MARKS + 2}, "not_marks"),
        (Answer, {"in_sample": NO_MARKS + 2}, "not_marks"),
        (RankedAnswer, {"scores": np.full((3, 2), np.inf, np.float32)}, "not_finite"),
        (RankedAnswer, {"candidates": np.array([[0, 1], [3, 3], [0, 1]])}, "not_candidates"),
        (RankedAnswer, {"candidates": np.array([[0, 1], [3, -3], [0, 1]])}, "not_candidates"),
        (Escalation, {"embeddings": np.full((3, 4), -np.inf, np.float32)}, "not_finite"),
        (NextTokens, {"size": 8}, "not_tokens"),
        (NextTokens, {"tokens": np.array([[0, 1], [1, 1], [7, 8]], np.int32)}, "not_tokens"),
        (NextTokens, {"tokens": np.array([[0, 1], [1, -1], [7, 8]], np.int32)}, "not_tokens"),
        (NextTokens, {"probabilities": np.full((3, 2), 0.6, np.float32)}, "not_probabilities"),
        (NextTokens, {"probabilities": np.full((3, 2), -0.1, np.float32)}, "not_probabilities"),
        (NextTokens, {"probabilities": np.full((3, 2), np.nan, np.float32)}, "not_finite"),
        (
            NextTokens,  # a whole row lacks nothing
            {"size": 2, "tokens": np.tile(np.arange(2, dtype=np.int32), (3, 1))},
            "not_probabilities",
        ),
        (Verdict, {"decided": np.array([0, 2, 1], np.int32)}, "not_classes"),
        (Verdict, {"decided": np.array([0, -1, 1], np.int32)}, "not_classes"),
        (Verdict, {"confidences": np.array([0.5, 1.1, 0.5], np.float32)}, "not_probabilities"),
        (Verdict, {"confidences": np.array([0.5, -0.1, 0.5], np.float32)}, "not_probabilities"),
        (Verdict, {"confidences": np.array([0.5, np.nan, 0.5], np.float32)}, "not_finite"),
    ],
)
def test_task_payload_is_rejected_on_receipt(
    payload: type[Payload], changes: dict[str, Any], reason: str
) -> None:
    message = Message.compose(build(payload, **changes), sender=3, round=1, hop=0)
    with pytest.raises(RejectedMessage) as caught:
        admit(encode(message), Expectation(1, 0, frozenset({3}), payload))
    assert (caught.value.reason, caught.value.sender) == (reason, 3)
    assert caught.value.expected
    assert caught.value.actual
    assert caught.value.hint


def asked(payload: type[Payload] = Answer, **changes: Any) -> Expectation:
    fields = {"task": "triage", "attempt": 1, "queries": frozenset(IDS.tolist()), **changes}
    return Expectation(1, 0, frozenset({3}), payload, **fields)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "other"}, "task"),
        ({"attempt": 2}, "attempt"),
        ({"queries": frozenset({5, 0, 6})}, "query"),
    ],
)
def test_answer_to_what_was_not_assigned_is_rejected(changes: dict[str, Any], reason: str) -> None:
    buffer = encode(Message.compose(build(Answer), sender=3, round=1, hop=0))
    assert admit(buffer, asked()).payload == build(Answer)
    assert admit(buffer, asked(queries=frozenset({*IDS.tolist(), 77})))
    with pytest.raises(RejectedMessage) as caught:
        admit(buffer, asked(**changes))
    assert (caught.value.reason, caught.value.sender) == (reason, 3)
    assert caught.value.hint
    assert not asked().asks_as(asked(**changes))


@pytest.mark.parametrize("name", ["task", "attempt", "queries"])
def test_expectation_about_a_task_is_refused_for_other_payloads(name: str) -> None:
    value = {"task": "triage", "attempt": 1, "queries": frozenset({1})}[name]
    with pytest.raises(ConfigurationError, match="names fields that embeddings payloads lack"):
        Expectation(1, 0, frozenset({3}), Embeddings, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", CODECS)
def test_answers_stay_distributions_in_any_codec(codec: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(12), size=3).astype(np.float32)
    message = Message.compose(build(Answer, probabilities=rows), sender=3, round=1, hop=0)
    received = admit(encode(message, CODECS[codec].model_validate({})), asked()).payload
    np.testing.assert_allclose(received.probabilities.sum(axis=1), 1, atol=1e-5)  # type: ignore[attr-defined]
