from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from protocols.messages import arrays
from protocols.messages.arrays import Array, first_improper_row, first_not_finite, same_bytes
from protocols.spec import Spec


class Square(Spec):
    values: Annotated[NDArray[np.float32], Array("float32", "N", "N")]


class Halves(Spec):
    values: Annotated[NDArray[Any], Array(("float16", "uint16"), "N", 2)]


def test_field_shares_memory_and_is_read_only_when_contiguous() -> None:
    mine = np.ones((3, 3), np.float32)
    held = Square(values=mine).values
    assert np.shares_memory(held, mine)
    assert not held.flags.writeable
    assert mine.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        held[0, 0] = 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.ones((3, 6), np.float32)[:, ::2],
        lambda: np.arange(9, dtype=np.float32).reshape(3, 3).T,
        lambda: np.frombuffer(bytes(37), np.uint8)[1:].view(np.float32).reshape(3, 3),
    ],
    ids=["strided", "transposed", "unaligned"],
)
def test_field_holds_a_regular_copy_when_the_array_is_irregular(make: Any) -> None:
    mine = make()
    held = Square(values=mine).values
    assert held.flags.c_contiguous
    assert held.flags.aligned
    assert not held.flags.writeable
    np.testing.assert_array_equal(held, mine)


@pytest.mark.parametrize(
    "wrong",
    [
        np.ones((3, 3)),
        np.ones((3, 3), ">f4"),
        np.ones((3, 3), np.int32),
        np.ones((3, 2), np.float32),
        np.ones(9, np.float32),
        np.ones((0, 0), np.float32),
        [[1.0]],
        1.0,
        None,
    ],
    ids=["float64", "big-endian", "int", "not square", "rank", "empty", "list", "float", "none"],
)
def test_field_refuses_what_does_not_fit_exactly(wrong: Any) -> None:
    with pytest.raises(ValidationError, match=r"float32 \[N, N\]"):
        Square(values=wrong)


def test_several_dtypes_and_fixed_sizes_are_kept_to() -> None:
    for dtype in (np.float16, np.uint16):
        assert Halves(values=np.ones((5, 2), dtype)).values.dtype == dtype
    with pytest.raises(ValidationError):
        Halves(values=np.ones((5, 2), np.float32))
    with pytest.raises(ValidationError):
        Halves(values=np.ones((5, 3), np.float16))


def test_json_schema_describes_the_array() -> None:
    schema = Square.model_json_schema()["properties"]["values"]
    assert schema["description"] == "float32 [N, N]"


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    bad=st.lists(
        st.tuples(
            st.integers(0, 124),
            st.sampled_from([np.nan, np.inf, -np.inf, 6e4, -6e4, 3e38, -3e38, 1e308, 1e-45]),
        )
    ),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    chunk=st.sampled_from([1, 3, 1 << 18]),
)
def test_first_not_finite_agrees_with_numpy(
    shape: list[int], bad: list[tuple[int, float]], dtype: Any, chunk: int
) -> None:
    values = np.zeros(shape, dtype)
    for position, number in bad:
        with np.errstate(over="ignore"):  # of a large number becomes an infinity
            values.reshape(-1)[position % values.size] = np.float64(number).astype(dtype)
    wrong = np.argwhere(~np.isfinite(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK_ELEMENTS", chunk)
        found = first_not_finite(values)
    assert found == (tuple(wrong[0]) if len(wrong) else None)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("sign", [1, -1])
def test_finite_numbers_whose_sum_overflows_are_finite(dtype: Any, sign: int) -> None:
    values = np.full(1000, sign * np.finfo(dtype).max)
    assert first_not_finite(values) is None
    values[900:] = -sign * np.inf, *[np.nan] * 99
    assert first_not_finite(values) == (900,)


def test_improper_row_is_found_in_a_later_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK_ELEMENTS", 8)
    rows = np.full((9, 4), 0.25, np.float32)
    assert first_improper_row(rows, 1e-3) is None
    rows[7] = [0.5, 0.5, 0.5, -0.5]
    assert first_improper_row(rows, 1e-3) == 7
    rows[5, 0] += 0.01
    assert first_improper_row(rows, 1e-3) == 5
    assert first_improper_row(rows, 0.1) == 7


def test_improper_row_is_found_when_its_sum_is_not_finite() -> None:
    most = np.finfo(np.float32).max
    assert first_improper_row(np.array([[most, most]], np.float32), 1e-3) == 0
    assert first_improper_row(np.array([[0.5, 0.5], [np.nan, 1]], np.float32), 1e-3) == 1
    assert first_improper_row(np.array([[most, most, -most, -most]], np.float32), 1e-3) == 0


def test_same_bytes_needs_equal_dtype_and_shape() -> None:
    zeros = np.zeros(4, np.float32)
    assert same_bytes(zeros, zeros.copy())
    assert not same_bytes(zeros, zeros.view(np.int32))
    assert not same_bytes(zeros, zeros.reshape(2, 2))
