"""What agents may say: an envelope, and one class per kind of payload.

Shape legend: V views, B private texts, N anchors, D dimensions, K prototypes or classes, L entries of a list, S agents that
speak through one sender, P parameters. Only anchors are called N: see `Payload.of_other_anchors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, InstanceOf, field_validator, model_validator
from typing_extensions import Self

from protocols.arrays import Array, first_improper_row, first_not_finite, same_bytes
from protocols.errors import ConfigurationError, RejectedMessage
from protocols.spec import Spec

PROTOCOL_VERSION: Final = 1
PROBABILITY_TOLERANCE = 1e-3
"""How far from 1 a row of probabilities may sum; float32 or float16 rows round that much."""

Index = Annotated[int, Field(ge=0, lt=2**31)]
Weight = Annotated[float, Field(gt=0, le=2.0**53)]  # bounded, so that sums of weights are finite


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
        if list(recipients) != sorted(set(recipients)):
            raise ValueError(f"recipients must be sorted, each named once, got {recipients}")
        return recipients

    @model_validator(mode="after")
    def _not_to_oneself(self) -> Envelope:
        if self.sender in self.recipients:
            raise ValueError(f"agent {self.sender} is both the sender and a recipient")
        return self


class Payload(Spec):
    """Base of every payload: array fields are annotated with `Array`, the others are scalars.

    Arrays marked as ``coded`` may be sent in fewer bytes, by the codec of the exchange.

    Two payloads are equal when they are of one class and their scalars, and the dtypes, shapes and
    bytes of their arrays, are equal.
    """

    kind: ClassVar[str]
    array_fields: ClassVar[Mapping[str, Array]] = {}
    coded_fields: ClassVar[tuple[str, ...]] = ()
    scalar_fields: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.array_fields = {
            name: mark
            for name, field in cls.model_fields.items()
            for mark in field.metadata
            if isinstance(mark, Array)
        }
        cls.coded_fields = tuple(name for name, array in cls.array_fields.items() if array.coded)
        cls.scalar_fields = tuple(name for name in cls.model_fields if name not in cls.array_fields)

    @model_validator(mode="after")
    def _dimensions_agree(self) -> Payload:
        if type(self) is Payload:
            raise TypeError("Payload is abstract; build one of its subclasses")
        sizes: dict[str, int] = {}
        for name, array in self.array_fields.items():
            if not array.bind(getattr(self, name).shape, sizes):
                raise ValueError(f"the sizes of {name} {array} disagree with those of other fields")
        return self

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mend what a codec did to the meaning of a field; the array may be written to."""
        return values

    def check_values(self, sender: int | None = None) -> None:
        """Check the numbers themselves, which building a payload does not: it costs a full scan.

        Raises:
            RejectedMessage: a number is not finite (or, in some kinds, otherwise meaningless).
        """
        for name in self.array_fields:
            values = getattr(self, name)
            if (index := first_not_finite(values)) is not None:
                raise RejectedMessage(
                    f"{self.kind} {name} hold a number that is not finite",
                    reason="not_finite",
                    sender=sender,
                    expected="finite numbers only",
                    actual=f"{values[index]} at {name}{list(index)}",
                    mend="lower the sender's learning rate, or clip its gradients",
                )

    def of_other_anchors(self, order: NDArray[np.int64]) -> Self:
        """Return the payload as if what it says of anchor ``order[i]`` were said of anchor i.

        Args:
            order: `[N]`, a permutation.

        Raises:
            ConfigurationError: it says nothing of anchors.

        Example:
            >>> labels = PseudoLabels(probabilities=np.eye(3, dtype=np.float32), weight=1)
            >>> labels.of_other_anchors(np.array([2, 0, 1])).probabilities.argmax(axis=1)
            array([2, 0, 1])
        """
        changed: dict[str, NDArray[Any]] = {}
        for name, array in self.array_fields.items():
            for axis in (axis for axis, dim in enumerate(array.dims) if dim == "N"):
                changed[name] = changed.get(name, getattr(self, name)).take(order, axis=axis)
        if not changed:
            raise ConfigurationError(
                f"{self.kind} payloads say nothing of anchors, so there is nothing to shuffle",
                expected="a strategy that speaks of anchors one by one",
                actual=self.kind,
                mend="set exchange.teacher to neighbours or own",
            )
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **changed})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Payload) or type(self) is not type(other):
            return False
        pairs = [(getattr(self, name), getattr(other, name)) for name in self.array_fields]
        scalars = all(getattr(self, name) == getattr(other, name) for name in self.scalar_fields)
        return scalars and all(same_bytes(left, right) for left, right in pairs)


class Embeddings(Payload):
    """The sender's embeddings of V views of each of N public anchors."""

    kind: ClassVar[str] = "embeddings"
    values: Annotated[NDArray[np.float32], Array("float32", "V", "N", "D", coded=True)]


class SimilarityTargets(Payload):
    """For each of N public anchors, how probable each other one is among those alike to it."""

    kind: ClassVar[str] = "similarity_targets"
    values: Annotated[NDArray[np.float32], Array("float32", "N", "N", coded=True)]
    weight: Weight = Field(description="share in an average, relative to the other senders")

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions over the other anchors again."""
        if values.shape[0] == values.shape[1]:
            np.fill_diagonal(values, 0.0)
        return _distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that every row is a probability distribution over the other anchors."""
        super().check_values(sender)
        _check_rows(self.values, "similarities", sender)
        own = self.values.diagonal()
        if own.max() > PROBABILITY_TOLERANCE:
            raise RejectedMessage(
                "an anchor is among those alike to it",
                reason="not_probabilities",
                sender=sender,
                expected="a diagonal of 0",
                actual=f"{own.max():.6g} at values[{own.argmax()}, {own.argmax()}]",
                mend="mask the diagonal before the softmax",
            )


class Prototypes(Payload):
    """K cluster centres and how many texts lie around each."""

    kind: ClassVar[str] = "prototypes"
    values: Annotated[NDArray[np.float32], Array("float32", "K", "D", coded=True)]
    counts: Annotated[NDArray[np.float32], Array("float32", "K")]

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and the counts not negative."""
        super().check_values(sender)
        if self.counts.min() < 0:
            raise RejectedMessage(
                "a prototype's count is negative",
                reason="not_counts",
                sender=sender,
                expected="counts of 0 or more",
                actual=f"{self.counts.min()} at counts[{self.counts.argmin()}]",
                mend="send how many texts, or what total weight, each prototype stands for",
            )


class Statistics(Payload):
    """First and second moments of the sender's embeddings of V views of private texts: means over texts."""

    kind: ClassVar[str] = "statistics"
    means: Annotated[NDArray[np.float32], Array("float32", "V", "D")]
    squares: Annotated[NDArray[np.float32], Array("float32", "V", "D")]
    products: Annotated[NDArray[np.float32], Array("float32", "D", "D")] = Field(
        description="of each number of the first view with each of the second"
    )
    weight: Weight = Field(description="number of texts")

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and the squares not negative."""
        super().check_values(sender)
        if self.squares.min() < 0:
            raise RejectedMessage(
                "a mean of squares is negative",
                reason="not_moments",
                sender=sender,
                expected="means of squares of 0 or more",
                actual=str(self.squares.min()),
                mend="send the mean over texts of the square of each number",
            )


class PrivateEmbeddings(Payload):
    """The sender's embeddings of V views of each of B texts of its own: private text, so to speak.

    Text can be guessed from its embedding, so this has a kind of its own, which the ledger names.
    """

    kind: ClassVar[str] = "private_embeddings"
    values: Annotated[NDArray[np.float32], Array("float32", "V", "B", "D", coded=True)]
    batch: Index = Field(description="number of the sender's batch")


class EmbeddingGradients(Payload):
    """The gradient of the sender's loss with respect to embeddings that the receiver sent it."""

    kind: ClassVar[str] = "embedding_gradients"
    values: Annotated[NDArray[np.float32], Array("float32", "V", "B", "D")]
    batch: Index = Field(description="number of the receiver's batch")


class PseudoLabels(Payload):
    """Class probabilities (not logits) of each of N public anchors."""

    kind: ClassVar[str] = "pseudo_labels"
    probabilities: Annotated[NDArray[np.float32], Array("float32", "N", "K", coded=True)]
    weight: Weight = Field(description="share in an average, relative to the other senders")

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions again; a row of nothing stays to be rejected."""
        return _distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and every row is a probability distribution."""
        super().check_values(sender)
        _check_rows(self.probabilities, "pseudo-labels", sender)


class LabelVotes(Payload):
    """Class probabilities of each of N public anchors by each of S agents, not averaged."""

    kind: ClassVar[str] = "label_votes"
    probabilities: Annotated[NDArray[np.float32], Array("float32", "S", "N", "K", coded=True)]

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions again; a row of nothing stays to be rejected."""
        return _distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and every row is a probability distribution."""
        super().check_values(sender)
        rows = self.probabilities.reshape(-1, self.probabilities.shape[-1])
        _check_rows(rows, "label votes", sender)


class Logits(Payload):
    """Class scores (not probabilities) of each of N public anchors."""

    kind: ClassVar[str] = "logits"
    values: Annotated[NDArray[np.float32], Array("float32", "N", "K", coded=True)]
    weight: Weight = Field(description="share in an average, relative to the other senders")


class Rankings(Payload):
    """For each of N public anchors, the L that each of S agents finds most alike to it.

    Scores are relative within a list, not cosines. The agreement is how far those for whom a list speaks
    agree about it, from 0 to 1; an agent agrees with itself.
    """

    kind: ClassVar[str] = "rankings"
    scores: Annotated[NDArray[np.float32], Array("float32", "S", "N", "L", coded=True)]
    ids: Annotated[NDArray[np.int32], Array("int32", "S", "N", "L")]
    agreement: Annotated[NDArray[np.float32], Array("float32", "S", "N")]

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make lists distributions again; a list of nothing stays to be rejected."""
        return _distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that every list names other anchors, each once, and scores at least one above 0."""
        super().check_values(sender)
        _, anchors, length = self.ids.shape
        flat = np.sort(self.ids, axis=-1)
        own = np.arange(anchors, dtype=np.int32)[:, None]
        wrong = {
            f"ids from 0 to {anchors - 1}": (flat[..., 0] < 0) | (flat[..., -1] >= anchors),
            "ids that differ": (flat[..., 1:] == flat[..., :-1]).any(axis=-1),
            "ids of other anchors": (self.ids == own).any(axis=-1),
            "scores of 0 or more": self.scores.min(axis=-1) < 0,
            "a score above 0": self.scores.max(axis=-1) <= 0,
            "an agreement from 0 to 1": (self.agreement < 0) | (self.agreement > 1),
        }
        for expected, rows in wrong.items():
            if rows.any():
                agent, anchor = np.argwhere(rows)[0]
                raise RejectedMessage(
                    "a ranking is none",
                    reason="not_rankings",
                    sender=sender,
                    expected=expected,
                    actual=f"list {anchor} of agent {agent} of {length}: "
                    f"ids {self.ids[agent, anchor][:8].tolist()}",
                    mend="send the nearest other anchors, and what a softmax makes of their cosines",
                )

    def of_other_anchors(self, order: NDArray[np.int64]) -> Self:
        """Return the lists as if they were other anchors'; the anchors in them change names too."""
        moved = super().of_other_anchors(order)
        renamed: NDArray[np.int32] = np.argsort(order).astype(np.int32)[moved.ids]
        return type(self)(scores=moved.scores, ids=renamed, agreement=moved.agreement)


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


def _distributions(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make rows along the last axis sum to 1, in place, without what is negative; rows of nothing stay."""
    values = np.maximum(values, 0.0, out=values)
    totals = values.sum(axis=-1, keepdims=True)
    np.divide(values, totals, out=values, where=totals > 0)
    return values


def _check_rows(rows: NDArray[np.float32], what: str, sender: int | None) -> None:
    """Check that every row `[., K]` of finite numbers is a probability distribution."""
    row = first_improper_row(rows, PROBABILITY_TOLERANCE)
    if row is not None:
        raise RejectedMessage(
            f"a row of {what} is not a probability distribution",
            reason="not_probabilities",
            sender=sender,
            expected=f"numbers of 0 or more that sum to 1 within {PROBABILITY_TOLERANCE}",
            actual=f"row {row}: least {rows[row].min():.6g}, "
            f"sum {rows[row].sum(dtype=np.float64):.6g}",
            mend="send softmax outputs, not logits",
        )
