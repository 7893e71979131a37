"""What agents may say: an envelope, and one class per kind of payload.

Payloads of representations are in `protocols.messages.representations`, what all have in common in
`protocols.messages.payload`; all of them can be imported from here. P is the number of parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, InstanceOf, field_validator, model_validator

from protocols.messages.arrays import Array
from protocols.messages.payload import Index, Payload, Weight
from protocols.messages.representations import (
    EmbeddingGradients,
    Embeddings,
    LabelVotes,
    Logits,
    PrivateEmbeddings,
    Prototypes,
    PseudoLabels,
    Rankings,
    SimilarityTargets,
    Statistics,
)
from protocols.spec import Spec

PROTOCOL_VERSION: Final = 1


class Gradient(Spec):
    """What a tensor's gradient means to its receiver: none, an old one, or one that flows back."""

    kind: Literal["detached", "stale", "differentiable"] = "detached"
    staleness: Index = Field(0, description="age in rounds; only, and at least 1, when stale")

    @model_validator(mode="after")
    def _age_only_when_stale(self) -> Gradient:
        if (self.kind == "stale") != (self.staleness > 0):
            raise ValueError(
                f"staleness must be at least 1 when stale and 0 otherwise, "
                f"got {self.staleness} with kind {self.kind!r}"
            )
        return self


DETACHED = Gradient()


class Envelope(Spec):
    """Who says what kind of thing to whom, and when."""

    version: Literal[1] = PROTOCOL_VERSION
    sender: Index
    recipients: tuple[Index, ...] = Field(min_length=1, description="sorted, each once")
    round: Index
    hop: Index = Field(description="step of the topology's plan within the round")
    kind: str
    gradient: Gradient = DETACHED

    @field_validator("recipients")
    @classmethod
    def _sorted_once(cls, recipients: tuple[int, ...]) -> tuple[int, ...]:
        if len(recipients) > 1 and list(recipients) != sorted(set(recipients)):
            raise ValueError(f"recipients must be sorted, each named once, got {recipients}")
        return recipients

    @model_validator(mode="after")
    def _not_to_oneself(self) -> Envelope:
        if self.sender in self.recipients:
            raise ValueError(f"agent {self.sender} is both the sender and a recipient")
        return self


class Weights(Payload):
    """All the parameters of an encoder, flat, and the fingerprint of how they are laid out."""

    kind: ClassVar[str] = "weights"
    values: Annotated[NDArray[np.float32], Array("float32", "P", coded=True)]
    weight: Weight = Field(description="share in an average, for instance the number of texts")
    layout: str = Field(min_length=1, description="fingerprint of names, shapes and order")


class WeightDeltas(Payload):
    """The change of all the parameters of an encoder since the last exchange, flat."""

    kind: ClassVar[str] = "weight_deltas"
    values: Annotated[NDArray[np.float32], Array("float32", "P", coded=True)]
    weight: Weight = Field(description="share in an average, for instance the number of texts")
    layout: str = Field(min_length=1, description="fingerprint of names, shapes and order")


class Metrics(Payload):
    """Named finite numbers about the sender."""

    kind: ClassVar[str] = "metrics"
    values: dict[str, float]


class Control(Payload):
    """A command and its arguments."""

    kind: ClassVar[str] = "control"
    command: str = Field(min_length=1)
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @field_validator("arguments")
    @classmethod
    def _integers_of_64_bits(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name, value in arguments.items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"argument {name!r} does not fit in 64 bits")
        return arguments


PAYLOADS: dict[str, type[Payload]] = {
    "embeddings": Embeddings,
    "similarity_targets": SimilarityTargets,
    "prototypes": Prototypes,
    "statistics": Statistics,
    "private_embeddings": PrivateEmbeddings,
    "embedding_gradients": EmbeddingGradients,
    "pseudo_labels": PseudoLabels,
    "label_votes": LabelVotes,
    "logits": Logits,
    "rankings": Rankings,
    "weights": Weights,
    "weight_deltas": WeightDeltas,
    "metrics": Metrics,
    "control": Control,
}


class Message(Spec):
    """An envelope and the payload it announces."""

    envelope: Envelope
    payload: InstanceOf[Payload]

    @model_validator(mode="after")
    def _kinds_agree(self) -> Message:
        if self.envelope.kind != self.payload.kind:
            raise ValueError(
                f"{self.payload.kind!r} payload under a {self.envelope.kind!r} envelope"
            )
        return self

    @classmethod
    def compose(
        cls,
        payload: Payload,
        *,
        sender: int,
        recipients: Iterable[int],
        round: int,
        hop: int,
        gradient: Gradient = DETACHED,
    ) -> Message:
        """Return a message that carries the payload; recipients may come in any order.

        Example:
            >>> Message.compose(
            ...     Metrics(values={"loss": 0.5}), sender=0, recipients={2, 1}, round=3, hop=0
            ... ).envelope.recipients
            (1, 2)
        """
        envelope = Envelope(
            sender=sender,
            recipients=tuple(sorted(recipients)),
            round=round,
            hop=hop,
            kind=payload.kind,
            gradient=gradient,
        )
        return cls(envelope=envelope, payload=payload)
