from __future__ import annotations

import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from protocols.errors import ConfigurationError, RejectedMessage
from protocols.messages import (
    PAYLOADS,
    Components,
    Control,
    EmbeddingGradients,
    Embeddings,
    Envelope,
    Gradient,
    LabelVotes,
    Logits,
    Message,
    Metrics,
    Payload,
    PrivateEmbeddings,
    Prototypes,
    PseudoLabels,
    Rankings,
    SimilarityTargets,
    Statistics,
    WeightDeltas,
    Weights,
)

ENVELOPE: dict[str, Any] = {
    "sender": 0,
    "round": 3,
    "hop": 1,
    "kind": "metrics",
}


def floats(*shape: int) -> Any:
    return np.ones(shape, np.float32)


PLACES = np.array([[0, 3, 1, 2]], np.uint16)
MOMENTS: dict[str, Any] = {
    "means": floats(2, 3),
    "squares": floats(2, 3),
    "products": floats(3, 3),
    "weight": 4.0,
}


def test_table_of_payloads_is_keyed_by_kind_and_complete() -> None:
    assert {cls.kind: cls for cls in Payload.__subclasses__() if cls in PAYLOADS.values()} == (
        PAYLOADS
    )
    assert list(PAYLOADS) == [
        "embeddings",
        "similarity_targets",
        "prototypes",
        "statistics",
        "private_embeddings",
        "embedding_gradients",
        "pseudo_labels",
        "label_votes",
        "logits",
        "rankings",
        "weights",
        "weight_deltas",
        "components",
        "metrics",
        "control",
        "announcement",
        "bid",
        "assignment",
        "answer",
        "ranked_answer",
        "escalation",
        "verdict",
        "claims",
        "next_tokens",
        "masked_sum",
        "keys",
    ]
    assert all(cls.__doc__ for cls in PAYLOADS.values())


def test_envelope_defaults_to_no_gradient() -> None:
    assert Envelope(**ENVELOPE).gradient == Gradient(kind="detached", staleness=0)


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"hop": -1},
        {"sender": -1},
        {"sender": 2**31},
    ],
    ids=str,
)
def test_envelope_is_refused_when(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be from 0"):
        Envelope(**{**ENVELOPE, **change})


def test_envelope_has_no_recipients() -> None:
    with pytest.raises(TypeError, match="recipients"):
        Envelope(**ENVELOPE, recipients=(1, 2))


def test_staleness_belongs_to_stale_gradients_only() -> None:
    assert Gradient(kind="stale", staleness=2).staleness == 2
    for kind, staleness in (("stale", 0), ("detached", 1), ("differentiable", 1)):
        with pytest.raises(ValueError, match="staleness"):
            Gradient(kind=kind, staleness=staleness)
    with pytest.raises(ValueError, match="gradient kind"):
        Gradient(kind="late")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        (Embeddings, {"values": floats(4, 8)}),
        (Embeddings, {"values": np.ones((2, 4, 8))}),
        (SimilarityTargets, {"values": floats(4, 5), "weight": 1.0}),
        (SimilarityTargets, {"values": floats(4, 4), "weight": 0.0}),
        (SimilarityTargets, {"values": floats(4, 4), "weight": float("inf")}),
        (Prototypes, {"values": floats(4, 8), "counts": floats(5)}),
        (Statistics, {**MOMENTS, "squares": floats(1, 3)}),
        (Statistics, {**MOMENTS, "products": floats(3, 4)}),
        (Statistics, {**MOMENTS, "weight": 0.0}),
        (PrivateEmbeddings, {"values": floats(2, 4, 8)}),
        (EmbeddingGradients, {"values": floats(2, 4, 8), "batch": -1}),
        (PseudoLabels, {"probabilities": floats(4), "weight": 1.0}),
        (PseudoLabels, {"probabilities": floats(4, 2)}),
        (Weights, {"values": floats(4), "weight": 1.0, "layout": ""}),
        (Weights, {"values": floats(4), "weight": -1.0, "layout": "x"}),
        (WeightDeltas, {"values": floats(2, 2), "weight": 1.0, "layout": "x"}),
        (Components, {"values": floats(1, 4), "places": PLACES[:, :3], "layout": "x:2x4x2"}),
        (Components, {"values": floats(1, 4), "places": PLACES, "layout": "x"}),
        (Components, {"values": floats(1, 4), "places": PLACES, "layout": "x:2x4x0"}),
        (Metrics, {"values": {"loss": float("nan")}}),
        (Metrics, {"values": {"loss": "low"}}),
        (Control, {"command": ""}),
        (Control, {"command": "stop", "arguments": {"at": [1]}}),
        (Control, {"command": "stop", "arguments": {"at": 2**63}}),
        (Control, {"command": "stop", "arguments": {"at": -(2**63) - 1}}),
    ],
)
def test_payload_is_refused_when_a_field_does_not_fit(
    payload: type[Payload], fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        payload(**fields)


def test_payload_itself_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Payload()


def test_payloads_are_frozen() -> None:
    payload = Weights(values=floats(3), weight=1.0, layout="a")
    with pytest.raises(ValidationError, match="frozen"):
        payload.weight = 2.0  # type: ignore[misc]


def test_payloads_are_equal_when_class_scalars_and_bytes_are() -> None:
    payload = Weights(values=floats(3), weight=1.0, layout="a")
    assert payload == Weights(values=floats(3), weight=1, layout="a")
    assert payload != Weights(values=floats(3) * 2, weight=1.0, layout="a")
    assert payload != Weights(values=floats(3), weight=2.0, layout="a")
    assert payload != WeightDeltas(values=floats(3), weight=1.0, layout="a")
    assert payload != "weights"


def test_control_arguments_keep_their_types() -> None:
    arguments = {"a": True, "b": 1, "c": 1.0, "d": "1"}
    held = Control(command="set", arguments=arguments).arguments
    assert [type(value) for value in held.values()] == [bool, int, float, str]


@pytest.mark.parametrize("bound", [-(2**63), 2**63 - 1])
def test_control_arguments_may_be_any_integer_of_64_bits(bound: int) -> None:
    assert Control(command="stop", arguments={"at": bound}).arguments == {"at": bound}


def test_compose_takes_numpy_numbers() -> None:
    payload = Metrics(values={"loss": np.float32(0.5)})
    message = Message.compose(payload, sender=np.int64(0), round=np.int64(4), hop=0)
    assert message.envelope.kind == "metrics"
    assert type(message.envelope.sender) is int
    assert message.payload is payload


def test_message_is_refused_when_envelope_and_payload_differ_in_kind() -> None:
    with pytest.raises(ValueError, match="'control' payload under a 'metrics' envelope"):
        Message(envelope=Envelope(**ENVELOPE), payload=Control(command="stop"))


def test_message_survives_pickling() -> None:
    payload = Prototypes(values=floats(2, 3), counts=floats(2))
    message = Message.compose(payload, sender=0, round=0, hop=0)
    assert pickle.loads(pickle.dumps(message)) == message


def components(**changes: Any) -> Components:
    fields = {"values": floats(1, 4), "places": PLACES, "layout": "x:2x4x2"}
    return Components(**{**fields, **changes})


def test_components_at_ascending_places_of_their_chunks_are_accepted() -> None:
    components().check_values()
    components(layout="x:1x4x2:1x3x2").check_values()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (Embeddings(values=np.full((1, 2, 2), np.nan, np.float32)), "not_finite"),
        (Weights(values=np.array([1, -np.inf], np.float32), weight=1, layout="a"), "not_finite"),
        (Prototypes(values=floats(2, 3), counts=-floats(2)), "not_counts"),
        (Statistics(**{**MOMENTS, "squares": -floats(2, 3)}), "not_moments"),
        (components(layout="x:2x3x2"), "not_components"),
        (components(layout="x:1x4x4"), "not_components"),
        (components(layout="x:2x4x1"), "not_components"),
        (components(layout="x:2x4x2:1x4x1"), "not_components"),
        (components(places=PLACES[:, ::-1]), "not_components"),
        (components(places=PLACES * 0), "not_components"),
        (components(values=floats(1, 4) * np.nan), "not_finite"),
        (PseudoLabels(probabilities=floats(2, 3), weight=1), "not_probabilities"),
        (PseudoLabels(probabilities=floats(2, 3) * np.nan, weight=1), "not_finite"),
        (
            PseudoLabels(probabilities=np.array([[1.5, -0.5]], np.float32), weight=1),
            "not_probabilities",
        ),
        (LabelVotes(probabilities=floats(1, 2, 3)), "not_probabilities"),
        (Logits(values=floats(2, 3) * np.inf, weight=1), "not_finite"),
        (SimilarityTargets(values=floats(2, 2), weight=1), "not_probabilities"),
        (SimilarityTargets(values=np.eye(2, dtype=np.float32), weight=1), "not_probabilities"),
        (
            SimilarityTargets(values=np.array([[1.1, -0.1], [1, 0]], np.float32), weight=1),
            "not_probabilities",
        ),
    ],
)
def test_check_values_names_the_reason_and_the_sender(payload: Payload, reason: str) -> None:
    with pytest.raises(RejectedMessage) as caught:
        payload.check_values(sender=7)
    assert (caught.value.reason, caught.value.sender) == (reason, 7)
    assert caught.value.expected
    assert caught.value.actual
    assert caught.value.hint


def rankings(**changes: Any) -> Rankings:
    fields = {
        "scores": np.full((1, 3, 2), 0.5, np.float32),
        "ids": np.array([[[1, 2], [2, 0], [0, 1]]], np.int32),
        "agreement": np.ones((1, 3), np.float32),
    }
    return Rankings(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ids": np.array([[[1, 3], [2, 0], [0, 1]]], np.int32)}, "ids from 0 to 2"),
        ({"ids": np.array([[[1, -1], [2, 0], [0, 1]]], np.int32)}, "ids from 0 to 2"),
        ({"ids": np.array([[[1, 2], [2, 2], [0, 1]]], np.int32)}, "ids that differ"),
        ({"ids": np.array([[[1, 2], [2, 0], [0, 2]]], np.int32)}, "ids of other anchors"),
        ({"scores": np.array([[[1, -1]] * 3], np.float32)}, "scores of 0 or more"),
        ({"scores": np.zeros((1, 3, 2), np.float32)}, "a score above 0"),
        ({"agreement": np.full((1, 3), 1.5, np.float32)}, "an agreement from 0 to 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rankings_that_are_none_are_rejected(changes: dict[str, Any], expected: str) -> None:
    rankings().check_values()
    with pytest.raises(RejectedMessage, match="ranking") as caught:
        rankings(**changes).check_values(sender=7)
    assert (caught.value.reason, caught.value.sender) == ("not_rankings", 7)
    assert caught.value.expected == expected


def test_payload_of_other_anchors_moves_every_axis_of_anchors() -> None:
    order = np.array([2, 0, 1])
    embeddings = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    moved = Embeddings(values=embeddings).of_other_anchors(order)
    np.testing.assert_array_equal(moved.values, embeddings[:, [2, 0, 1]])
    square = np.arange(9, dtype=np.float32).reshape(3, 3)
    alike = SimilarityTargets(values=square, weight=2.0).of_other_anchors(order)
    assert alike.weight == 2.0
    for i, j in np.ndindex(3, 3):
        assert alike.values[i, j] == square[order[i], order[j]]


def test_rankings_of_other_anchors_rename_the_anchors_in_them() -> None:
    ids = np.array([[[1, 2], [3, 0], [1, 0], [0, 2]]], np.int32)
    scores = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    agreement = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    order = np.array([2, 0, 3, 1])
    moved = Rankings(scores=scores, ids=ids, agreement=agreement).of_other_anchors(order)
    moved.check_values()
    for i in range(4):
        assert order[moved.ids[0, i]].tolist() == ids[0, order[i]].tolist()
        np.testing.assert_array_equal(moved.scores[0, i], scores[0, order[i]])
        assert moved.agreement[0, i] == agreement[0, order[i]]


def test_payload_that_says_nothing_of_anchors_has_no_other_anchors() -> None:
    with pytest.raises(ConfigurationError, match=r"prototypes.*exchange\.teacher"):
        Prototypes(values=floats(2, 3), counts=floats(2)).of_other_anchors(np.array([1, 0]))


def test_check_values_accepts_probabilities_that_round() -> None:
    rounded = np.array([[0.3333, 0.3333, 0.3333]], np.float32)
    PseudoLabels(probabilities=rounded, weight=1).check_values()


def test_custom_payload_finds_its_own_fields() -> None:
    class Note(Payload):
        kind: ClassVar[str] = "note"
        text: str

    assert (Note.scalar_fields, dict(Note.array_fields)) == (("text",), {})
    message = Message.compose(Note(text="hello"), sender=0, round=0, hop=0)
    assert message.envelope.kind == "note"
