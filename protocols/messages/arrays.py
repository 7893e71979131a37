"""Array fields of frozen models: checked for dtype and shape, C-contiguous, read-only.

Shape legend: names in brackets are symbolic dimensions, equal wherever the same name appears.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

CHUNK_ELEMENTS = 1 << 18
"""Elements checked at a time: 1 MiB of float32, so that a scan stays in cache."""
_FEW = 1 << 12
"""Elements up to which checking each element is faster than an inner product: see `_surely_finite`."""


class Array:
    """Annotation of a NumPy field: which dtypes it takes, and its dimensions.

    Nothing is cast. The field holds a read-only view of what was given (a copy only if that is
    not C-contiguous or not aligned), and the flags of the caller's own array stay as they were: a
    caller that goes on writing to its array changes the field too. No dimension is empty.

    Args:
        dtype: a NumPy dtype name, or several that are allowed.
        dims: one entry per dimension: a name, or an int if the size is fixed.
        coded: whether a codec may send the numbers in fewer bytes; float32 only.

    Example:
        >>> from typing import Annotated
        >>> from protocols.spec import Spec
        >>> class Similarities(Spec):
        ...     values: Annotated[NDArray[np.float32], Array("float32", "N", "N")]
        >>> Similarities(values=np.zeros((3, 3), np.float32)).values.flags.writeable
        False
        >>> str(Array(("float16", "float32"), "N", 4))
        'float16 or float32 [N, 4]'
    """

    __slots__ = ("coded", "dims", "dtypes")

    def __init__(self, dtype: str | tuple[str, ...], *dims: str | int, coded: bool = False) -> None:
        names = (dtype,) if isinstance(dtype, str) else dtype
        self.dtypes = tuple(np.dtype(name) for name in names)
        self.dims = dims
        self.coded = coded
        if coded and self.dtypes != (np.dtype(np.float32),):
            raise TypeError(f"codecs take float32 alone, and this array is {self}")

    def __str__(self) -> str:
        dtypes = " or ".join(dtype.name for dtype in self.dtypes)
        return f"{dtypes} [{', '.join(map(str, self.dims))}]"

    def accepts(self, dtype: np.dtype[Any]) -> bool:
        """Return whether this dtype, byte order included, is one of the field's."""
        return dtype in self.dtypes

    def bind(self, shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
        """Return whether the shape fits, given the sizes of the names bound so far; add new names.

        Example:
            >>> sizes = {}
            >>> Array("float32", "K", "D").bind((5, 8), sizes), sizes
            (True, {'K': 5, 'D': 8})
            >>> Array("float32", "K").bind((4,), sizes)
            False
        """
        if len(shape) != len(self.dims):
            return False
        for dim, size in zip(self.dims, shape, strict=True):
            wanted = sizes.setdefault(dim, size) if isinstance(dim, str) else dim
            if size != wanted or size < 1:
                return False
        return True

    def check(self, values: object) -> NDArray[Any]:
        """Return a read-only view of the values.

        Raises:
            ValueError: they are not an array, or their dtype or shape does not fit.
        """
        if not isinstance(values, np.ndarray):
            raise ValueError(f"expected an array {self}, got {type(values).__name__}")
        if not self.accepts(values.dtype) or not self.bind(values.shape, {}):
            raise ValueError(f"expected {self}, got {values.dtype.str} {list(values.shape)}")
        flags = values.flags
        regular = flags.c_contiguous and flags.aligned
        view = values.view(np.ndarray) if regular else np.array(values, order="C")
        view.flags.writeable = False
        return view

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "array", "description": str(self)}


def first_not_finite(values: NDArray[Any]) -> tuple[int, ...] | None:
    """Return the index of the first NaN or infinity in a C-contiguous array, or None.

    Scans chunk by chunk, so that a large array needs no temporary array of the same size.

    Example:
        >>> first_not_finite(np.array([[0.0, 1.0], [np.inf, np.nan]]))
        (1, 0)
        >>> first_not_finite(np.arange(3)) is None
        True
    """
    if values.dtype.kind not in "fc":
        return None
    if values.size <= _FEW and np.logical_and.reduce(np.isfinite(values), axis=None):
        return None
    flat = values.reshape(-1)
    scratch = np.empty(0, np.bool_)
    for start, chunk in _chunks(flat, CHUNK_ELEMENTS):
        if _surely_finite(chunk):
            continue
        scratch = scratch if scratch.size else np.empty(min(flat.size, CHUNK_ELEMENTS), np.bool_)
        finite = np.isfinite(chunk, out=scratch[: chunk.size])
        if not finite.all():
            return _index(start + int(finite.argmin()), values.shape)
    return None


def _surely_finite(numbers: NDArray[Any]) -> bool:
    """Return whether the halves of `[n]` have a finite inner product: as fast as memory delivers both.

    A product with an infinity or a NaN is one itself, and no sum with such a term is finite. The inner
    product of finite numbers may overflow; then this is false, and the caller checks each number. Only BLAS
    is fast enough, and it has two types.
    """
    if numbers.dtype.char not in "fd":
        return False
    half = numbers.size // 2
    with np.errstate(over="ignore", invalid="ignore"):  # the result answers for both
        product = np.dot(numbers[:half], numbers[half : 2 * half])
    return math.isfinite(product) and math.isfinite(numbers[-1])


def first_improper_row(values: NDArray[Any], tolerance: float) -> int | None:
    """Return the first row of finite ``[N, K]`` that is not a probability distribution, or None.

    Args:
        values: rows of numbers.
        tolerance: how far from 1 the sum of a row may be.

    Example:
        >>> first_improper_row(np.array([[0.5, 0.5], [0.9, 0.3]]), tolerance=1e-3)
        1
        >>> first_improper_row(np.array([[1.5, -0.5], [0.9, 0.1]]), tolerance=1e-3)
        0
    """
    classes = values.shape[1]
    ones = np.ones(classes, values.dtype)
    for start, chunk in _chunks(values, max(1, CHUNK_ELEMENTS // classes)):
        with np.errstate(over="ignore", invalid="ignore"):  # a sum that overflows is not 1 either
            sums = chunk @ ones  # several times faster than a sum along rows
            wrong = ~(np.abs(sums - 1.0) <= tolerance)
        if chunk.min() < 0:
            wrong |= chunk.min(axis=1) < 0
        if wrong.any():
            return start + int(wrong.argmax())
    return None


def same_bytes(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Return whether two C-contiguous arrays have one dtype, one shape and the same bytes.

    Example:
        >>> same_bytes(np.array([np.nan]), np.array([np.nan]))
        True
        >>> same_bytes(np.array([0.0]), np.array([-0.0]))
        False
    """
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return np.array_equal(left.reshape(-1).view(np.uint8), right.reshape(-1).view(np.uint8))


def _chunks(values: NDArray[Any], length: int) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, len(values), length):
        yield start, values[start : start + length]


def _index(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(position, shape))
