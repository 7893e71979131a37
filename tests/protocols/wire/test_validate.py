from __future__ import annotations

import dataclasses
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

from protocols.errors import ConfigurationError, RejectedMessage, WireError
from protocols.messages import (
    Embeddings,
    Message,
    Metrics,
    Payload,
    Prototypes,
    PseudoLabels,
    SimilarityTargets,
    Weights,
)
from protocols.wire.serialize import encode, packet_of
from protocols.wire.validate import Expectation, admit, reread


def sent(payload: Payload, **changes: Any) -> Any:
    fields = {"sender": 0, "round": 3, "hop": 1, **changes}
    return encode(Message.compose(payload, **fields))


def expecting(payload: type[Payload], **changes: Any) -> Expectation:
    fields = {"round": 3, "hop": 1, "senders": frozenset({0, 5}), **changes}
    return Expectation(payload=payload, **fields)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def with_value(values: Any, value: float) -> Any:
    values[(-1,) * values.ndim] = value
    return values


EMBEDDINGS = Embeddings(values=ones(2, 3, 4))
WEIGHTS = Weights(values=ones(5), weight=1.0, layout="tiny")
SIMILARITIES = SimilarityTargets(values=ones(3, 3), weight=1.0)
IMPROPER = np.array([[0.5, 0.5], [0.7, 0.4]], np.float32)
TO_EMBEDDINGS = expecting(Embeddings, shapes={"values": (2, None, 4)})

REJECTIONS: dict[str, tuple[str, Any, Expectation]] = {
    "malformed": ("malformed", sent(EMBEDDINGS)[:-1], TO_EMBEDDINGS),
    "neighbour": ("neighbour", sent(EMBEDDINGS, sender=7), TO_EMBEDDINGS),
    "round": ("round", sent(EMBEDDINGS, round=2), TO_EMBEDDINGS),
    "hop": ("hop", sent(EMBEDDINGS, hop=0), TO_EMBEDDINGS),
    "kind": ("kind", sent(WEIGHTS), TO_EMBEDDINGS),
    "shape": ("shape", sent(Embeddings(values=ones(2, 3, 5))), TO_EMBEDDINGS),
    "layout": ("layout", sent(WEIGHTS), expecting(Weights, layout="small")),
    "nan": (
        "not_finite",
        sent(Embeddings(values=with_value(ones(2, 3, 4), np.nan))),
        TO_EMBEDDINGS,
    ),
    "infinity": (
        "not_finite",
        sent(Prototypes(values=ones(2, 3), counts=with_value(ones(2), np.inf))),
        expecting(Prototypes),
    ),
    "not_probabilities": (
        "not_probabilities",
        sent(PseudoLabels(probabilities=IMPROPER, weight=1.0)),
        expecting(PseudoLabels),
    ),
    "not_counts": (
        "not_counts",
        sent(Prototypes(values=ones(2, 3), counts=with_value(ones(2), -1))),
        expecting(Prototypes),
    ),
}


@pytest.mark.parametrize(("reason", "buffer", "expectation"), REJECTIONS.values(), ids=REJECTIONS)
def test_message_is_rejected_with_its_reason(
    reason: str, buffer: Any, expectation: Expectation
) -> None:
    with pytest.raises(RejectedMessage) as caught:
        admit(buffer, expectation)
    error = caught.value
    assert error.reason == reason
    assert error.expected
    assert error.actual
    assert error.hint
    assert error.sender == {"neighbour": 7}.get(reason, 0)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_message_of_another_version_is_rejected_with_no_sender(forge: Any) -> None:
    with pytest.raises(RejectedMessage) as caught:
        admit(forge(b"?", version=2), TO_EMBEDDINGS)
    assert (caught.value.reason, caught.value.sender) == ("version", None)


@pytest.mark.parametrize(
    ("reason", "payload", "values"),
    [
        ("dtype", EMBEDDINGS, np.ones((2, 3, 4), np.float16)),
        ("shape", EMBEDDINGS, ones(2, 12)),
        ("shape", SIMILARITIES, ones(3, 4)),
    ],
    ids=["dtype", "rank", "not square"],
)
def test_arrays_that_do_not_fit_the_payload_are_rejected(
    reforge: Any, reason: str, payload: Payload, values: Any
) -> None:
    with pytest.raises(RejectedMessage) as caught:
        admit(reforge(sent(payload), arrays={"values": values}), expecting(type(payload)))
    assert (caught.value.reason, caught.value.sender) == (reason, 0)


def test_message_read_again_is_checked_in_all_but_its_numbers() -> None:
    bad = sent(Embeddings(values=with_value(ones(2, 3, 4), np.nan)))
    assert np.isnan(reread(bad, TO_EMBEDDINGS).payload.values).any()  # type: ignore[attr-defined]
    with pytest.raises(RejectedMessage, match="round"):
        reread(sent(EMBEDDINGS, round=2), TO_EMBEDDINGS)


def test_expected_message_is_admitted_without_a_copy() -> None:
    buffer = sent(EMBEDDINGS)
    message = admit(buffer, TO_EMBEDDINGS)
    assert message.payload == EMBEDDINGS
    assert np.shares_memory(message.payload.values, buffer)  # type: ignore[attr-defined]
    in_pieces = admit(packet_of(message), TO_EMBEDDINGS)
    assert in_pieces == message
    assert np.shares_memory(in_pieces.payload.values, buffer)  # type: ignore[attr-defined]
    assert admit(sent(WEIGHTS), expecting(Weights, layout="tiny", shapes={"values": (5,)}))
    assert admit(sent(Metrics(values={})), expecting(Metrics))


def test_malformed_message_names_its_cause_and_no_sender_when_unreadable() -> None:
    with pytest.raises(RejectedMessage) as caught:
        admit(b"noise", TO_EMBEDDINGS)
    assert caught.value.reason == "malformed"
    assert caught.value.sender is None
    assert isinstance(caught.value.__cause__, WireError)


def test_message_with_missing_arrays_is_malformed(reforge: Any) -> None:
    with pytest.raises(RejectedMessage) as caught:
        admit(reforge(sent(EMBEDDINGS), arrays={}), TO_EMBEDDINGS)
    assert caught.value.reason == "malformed"


def test_envelope_is_judged_before_the_payload() -> None:
    bad = Embeddings(values=with_value(ones(2, 3, 9), np.nan))
    with pytest.raises(RejectedMessage) as caught:
        admit(sent(bad, sender=7), TO_EMBEDDINGS)
    assert caught.value.reason == "neighbour"


def test_custom_payload_is_admitted_where_it_is_expected() -> None:
    class Note(Payload):
        kind: ClassVar[str] = "note"
        text: str

    assert admit(sent(Note(text="hello")), expecting(Note)).payload == Note(text="hello")


@pytest.mark.parametrize(
    "changes", [{"shapes": {"value": (1, 2, 3)}}, {"layout": "tiny"}], ids=["shapes", "layout"]
)
def test_expectation_is_refused_when_it_names_what_the_payload_lacks(changes: Any) -> None:
    with pytest.raises(ConfigurationError, match="lack"):
        expecting(Embeddings, **changes)


def test_only_rounds_of_the_window_are_admitted_where_nobody_waits() -> None:
    window = expecting(Embeddings, round=3, rounds=(2, 5))
    for round in (2, 3, 5):
        assert admit(sent(EMBEDDINGS, round=round), window).envelope.round == round
    for round in (1, 6):
        with pytest.raises(RejectedMessage, match="expected: 2 to 5; actual: ") as caught:
            admit(sent(EMBEDDINGS, round=round), window)
        assert caught.value.reason == "round"


def test_expectation_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TO_EMBEDDINGS.round = 4  # type: ignore[misc]
