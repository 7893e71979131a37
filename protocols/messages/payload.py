"""The base class of every payload, and checks that several share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.errors import ConfigurationError, RejectedMessage
from protocols.messages.arrays import Array, first_improper_row, first_not_finite, same_bytes
from protocols.spec import Spec

PROBABILITY_TOLERANCE = 1e-3
"""Tolerance on the sum of a row of probabilities, which is 1: float16 rows round that much."""

INDEX_LIMIT = 2**31
"""Upper bound of the numbers of agents, rounds, hops and batches."""

Index = Annotated[int, Field(ge=0, lt=INDEX_LIMIT)]
Weight = Annotated[float, Field(gt=0, le=2.0**53)]  # bounded, so that sums of weights are finite


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
    _shares_dimensions: ClassVar[bool] = False

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
        named = [dim for array in cls.array_fields.values() for dim in array.dims]
        cls._shares_dimensions = len(set(named)) < len(named)

    @model_validator(mode="after")
    def _dimensions_agree(self) -> Payload:
        if type(self) is Payload:
            raise TypeError("Payload is abstract; build one of its subclasses")
        if not self._shares_dimensions:
            return self
        sizes: dict[str, int] = {}
        for name, array in self.array_fields.items():
            if not array.bind(getattr(self, name).shape, sizes):
                raise ValueError(f"the sizes of {name} {array} disagree with those of other fields")
        return self

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Restore properties of a field that a codec loses, such as rows that sum to 1, in place."""
        return values

    def check_values(self, sender: int | None = None) -> None:
        """Check the numbers themselves, a full scan that building a payload omits.

        Raises:
            RejectedMessage: a number is not finite, or breaks a rule of the kind.
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
                    hint="lower the sender's learning rate, or clip its gradients",
                )

    def of_other_anchors(self, order: NDArray[np.int64]) -> Self:
        """Return the payload with anchor ``order[i]`` in the place of anchor i.

        Args:
            order: `[N]`, a permutation.

        Raises:
            ConfigurationError: no field has an axis of anchors.

        Example:
            >>> from protocols.messages.representations import PseudoLabels
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
                f"{self.kind} payloads have no axis of anchors to shuffle",
                expected="a strategy that sends something for each anchor",
                actual=self.kind,
                hint="set exchange.teacher to neighbours or own",
            )
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **changed})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Payload) or type(self) is not type(other):
            return False
        pairs = [(getattr(self, name), getattr(other, name)) for name in self.array_fields]
        scalars = all(getattr(self, name) == getattr(other, name) for name in self.scalar_fields)
        return scalars and all(same_bytes(left, right) for left, right in pairs)


def distributions(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip rows along the last axis at 0 and make them sum to 1, in place; rows of zeros stay."""
    with np.errstate(over="ignore", invalid="ignore"):  # hostile numbers are rejected later
        values = np.maximum(values, 0.0, out=values)
        totals = values.sum(axis=-1, keepdims=True)
        np.divide(values, totals, out=values, where=totals > 0)
    return values


def check_rows(rows: NDArray[np.float32], what: str, sender: int | None) -> None:
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
            hint="send softmax outputs, not logits",
        )
