"""The message: a payload, and the envelope that names its sender, its kind and its place in the round.

Recipients are not part of the message: routing travels with deliveries, so that one broadcast is one message.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Final, Literal, get_args

from msgspec import Struct

from protocols.messages.payload import INDEX_LIMIT, Payload

PROTOCOL_VERSION: Final = 1
"""Version of the wire format; receivers refuse every other version."""

GradientKind = Literal["detached", "stale", "differentiable"]
_GRADIENT_KINDS = frozenset(get_args(GradientKind))


class Gradient(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Meaning of a tensor's gradient to its receiver: absent, from an earlier round, or flowing back.

    Args:
        kind: ``detached``, ``stale`` or ``differentiable``.
        staleness: age in rounds; at least 1 when stale, else 0.

    Raises:
        ValueError: the kind is unknown, or the age does not fit it.
    """

    kind: GradientKind = "detached"
    staleness: int = 0

    def __post_init__(self) -> None:
        if self.kind not in _GRADIENT_KINDS:
            raise ValueError(
                f"gradient kind must be one of {sorted(_GRADIENT_KINDS)}, got {self.kind!r}"
            )
        if not 0 <= self.staleness < INDEX_LIMIT or (self.kind == "stale") != (self.staleness > 0):
            raise ValueError(
                f"staleness must be at least 1 when stale and 0 otherwise, "
                f"got {self.staleness} with kind {self.kind!r}"
            )


DETACHED = Gradient()


class Envelope(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Sender, kind and place in the round of a message.

    A struct rather than a pydantic model: every message has one, it crosses process boundaries, and the wire
    header stores it unchanged.

    Args:
        sender: number of the sending agent.
        round: number of the round, from 0.
        hop: step of the topology's plan within the round.
        kind: kind of the payload.
        gradient: what the payload's gradient means to a receiver.

    Raises:
        ValueError: a number is negative, or does not fit in 31 bits.
    """

    sender: int
    round: int
    hop: int
    kind: str
    gradient: Gradient = DETACHED

    def __post_init__(self) -> None:
        for name in ("sender", "round", "hop"):
            if not 0 <= getattr(self, name) < INDEX_LIMIT:
                raise ValueError(
                    f"{name} must be from 0 to {INDEX_LIMIT - 1}, got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class Message:
    """A payload under an envelope of its kind.

    Raises:
        ValueError: envelope and payload differ in kind.
    """

    envelope: Envelope
    payload: Payload

    def __post_init__(self) -> None:
        if self.envelope.kind != self.payload.kind:
            raise ValueError(
                f"{self.payload.kind!r} payload under a {self.envelope.kind!r} envelope"
            )

    @classmethod
    def compose(
        cls,
        payload: Payload,
        *,
        sender: int,
        round: int,
        hop: int,
        gradient: Gradient = DETACHED,
    ) -> Message:
        """Return a message that carries the payload; numbers may be NumPy's.

        Example:
            >>> from protocols.messages import Metrics
            >>> Message.compose(Metrics(values={"loss": 0.5}), sender=0, round=3, hop=0).envelope.kind
            'metrics'
        """
        envelope = Envelope(index(sender), index(round), index(hop), payload.kind, gradient)
        return cls(envelope, payload)
