"""The error of each codec, against its stated bound."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols.codecs import CODECS, Codec
from protocols.codecs.base import BLOCK, EXPANSION, from_rows, row_shape, to_rows
from protocols.codecs.bf16 import Bf16
from protocols.codecs.fp16 import Fp16
from protocols.codecs.int8 import Int8
from protocols.codecs.pca import Pca
from protocols.codecs.top_k import TopK
from protocols.errors import WireError

LARGEST = float(np.finfo(np.float32).max)
VARIANTS: dict[str, Codec] = {
    **{kind: cls() for kind, cls in CODECS.items()},
    "pca of 2": Pca(dimensions=2),
    "top_k of half": TopK(share=0.5),
    "top_k per array": TopK(share=0.1, per="array"),
}
SHAPES = st.one_of(
    st.tuples(st.integers(1, 40)),
    st.tuples(st.integers(1, 6), st.integers(1, 8)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
)
MAGNITUDES = st.sampled_from([1e-42, 1e-30, 1.0, 1e4, 1e30, LARGEST])


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    shape, scale = draw(SHAPES), draw(MAGNITUDES)
    unit = draw(hnp.arrays(np.float32, shape, elements=st.floats(-1, 1, width=32)))
    return (unit * np.float64(scale)).astype(np.float32)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Any:
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


EDGES: dict[str, Any] = {
    "zeros": np.zeros((3, 4), np.float32),
    "negative zero": np.full((2, 3), -0.0, np.float32),
    "constant rows": np.repeat(np.float32([[1.5], [-0.1], [1e30]]), 7, axis=1),
    "one number": np.float32([0.3]),
    "one row": normal(1, 9),
    "one column": normal(9, 1),
    "tiny": normal(4, 5, scale=1e-43),
    "huge": np.float32([[LARGEST, -LARGEST, 1.0], [LARGEST, LARGEST, LARGEST]]),
    "flat of several blocks": normal(2 * BLOCK + 5),
    "three axes": normal(2, 5, 8),
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def codec(request: pytest.FixtureRequest) -> Codec:
    found: Codec = request.param
    return found


def test_kind_is_the_key_in_the_table() -> None:
    for kind, cls in CODECS.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


@pytest.mark.parametrize("values", EDGES.values(), ids=EDGES)
def test_parts_are_as_announced_and_what_comes_back_is_finite(codec: Codec, values: Any) -> None:
    before = values.copy()
    parts = codec.encode(values)
    announced = codec.parts(values.shape)
    assert {name: (p.dtype, p.shape) for name, p in announced.items()} == {
        name: (p.dtype, p.shape) for name, p in parts.items()
    }
    assert codec.nbytes(values.shape) == sum(part.nbytes for part in parts.values())
    decoded = codec.roundtrip(values)
    assert (decoded.dtype, decoded.shape) == (values.dtype, values.shape)
    assert np.isfinite(decoded).all()
    assert values.tobytes() == before.tobytes()
    again = codec.encode(values)
    assert all(again[name].tobytes() == part.tobytes() for name, part in parts.items())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(5,), (4, 6), (2, 3, 4)])
def test_numbers_that_are_not_finite_stay_so(codec: Codec, bad: float, shape: Any) -> None:
    values = normal(*shape)
    values.flat[values.size // 2] = bad
    assert not np.isfinite(codec.roundtrip(values)).all()


@given(values=arrays())
def test_fp16_rounds_within_its_bound(values: Any) -> None:
    clipped = np.clip(values, -65504, 65504).astype(np.float64)
    bound = np.maximum(2.0**-11 * np.abs(clipped), 2.0**-25)
    assert (np.abs(Fp16().roundtrip(values) - clipped) <= bound).all()


def test_fp16_saturates_beyond_its_range() -> None:
    found = Fp16().roundtrip(np.float32([1e6, -1e6, 65504, 65519, 65520]))
    assert found.tolist() == [65504, -65504, 65504, 65504, 65504]


@given(values=arrays())
def test_bf16_rounds_within_its_bound(values: Any) -> None:
    largest = float(Bf16().roundtrip(np.float32([LARGEST]))[0])
    assert largest == (2 - 2.0**-7) * 2.0**127
    clipped = np.clip(values.astype(np.float64), -largest, largest)
    bound = np.maximum(2.0**-8 * np.abs(clipped), 2.0**-134)
    assert (np.abs(Bf16().roundtrip(values) - clipped) <= bound).all()


def test_bf16_equals_pytorch() -> None:
    torch = pytest.importorskip("torch")
    values = np.concatenate([normal(2000, scale=s) for s in (1e-38, 1e-3, 1.0, 1e30)])
    expected = torch.from_numpy(values).bfloat16().float().numpy()
    np.testing.assert_array_equal(Bf16().roundtrip(values), expected)


def ranges(values: Any) -> Any:
    """Return the range of the row of every number, and its largest magnitude."""
    rows = to_rows(values, padding=float(values.flat[-1])).astype(np.float64)
    span = np.broadcast_to(np.ptp(rows, axis=1, keepdims=True), rows.shape)
    size = np.broadcast_to(np.abs(rows).max(axis=1, keepdims=True), rows.shape)
    return [from_rows(part, values.shape) for part in (span, size)]


@given(values=arrays())
def test_int8_is_within_half_a_step(values: Any) -> None:
    span, size = ranges(values)
    error = np.abs(Int8().roundtrip(values).astype(np.float64) - values)
    assert (error <= span / 510 + 2.0**-21 * size + 2.0**-148).all()


@pytest.mark.parametrize("name", ["zeros", "constant rows", "one number", "huge"])
def test_int8_keeps_constants_and_extremes_exactly(name: str) -> None:
    values = EDGES[name]
    kept = Int8().roundtrip(values)
    rows, found = (to_rows(array, padding=0.0) for array in (values, kept))
    np.testing.assert_array_equal(found.min(axis=1), rows.min(axis=1))
    np.testing.assert_array_equal(found.max(axis=1), rows.max(axis=1))


def test_int8_of_a_flat_array_goes_by_blocks() -> None:
    values = normal(3 * BLOCK)
    values[:BLOCK] *= 1e6
    error = np.abs(Int8().roundtrip(values) - values)
    assert error[BLOCK:].max() < 0.02 < error[:BLOCK].max()


@given(values=arrays(), share=st.floats(0.001, 1), per=st.sampled_from(["row", "array"]))
def test_top_k_keeps_the_largest_exactly_and_drops_the_rest(
    values: Any, share: float, per: Any
) -> None:
    kept = TopK(share=share, per=per).roundtrip(values)
    whole = (1, values.size)
    shape = row_shape(values.shape) if per == "row" else whole
    for row, found in zip(values.reshape(shape), kept.reshape(shape), strict=True):
        count = math.ceil(share * len(row))
        # A slow reference: the first of equal magnitudes first.
        order = sorted(range(len(row)), key=lambda place: (-abs(row[place]), place))
        expected = np.zeros_like(row)
        expected[order[:count]] = row[order[:count]]
        np.testing.assert_array_equal(found, expected)


def test_top_k_of_a_flat_array_goes_by_blocks_and_never_keeps_padding() -> None:
    values = np.arange(1, BLOCK + 4, dtype=np.float32)
    kept = np.flatnonzero(TopK(share=0.002).roundtrip(values))
    assert kept.tolist() == [BLOCK - 3, BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 2]


@pytest.mark.parametrize("places", [[[1, 1]], [[2, 1]], [[0, 9]]])
def test_top_k_refuses_impossible_places(places: Any) -> None:
    codec = TopK(share=0.2)
    parts = {"places": np.array(places, np.uint16), "kept": np.ones((1, 2), np.float32)}
    assert {name: part.shape for name, part in codec.parts((9,)).items()} == {
        name: part.shape for name, part in parts.items()
    }
    with pytest.raises(WireError, match="places"):
        codec.decode(parts, (9,))


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 12), scale=st.sampled_from([1e-6, 1.0, 1e6]))
@settings(max_examples=50)
def test_pca_loses_what_the_discarded_directions_held(seed: int, rows: int, scale: float) -> None:
    values = normal(rows, 9, seed=seed, scale=scale) + np.float32(3 * scale)
    codec = Pca(dimensions=3)
    exact = values.astype(np.float64)
    centred = exact - exact.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    components = centred @ directions[:3].T
    # Half a step of each component, in every row.
    steps = np.ptp(components, axis=0) / 510 * math.sqrt(rows)
    slack = 2.0**-11 * math.sqrt(3) + 2.0**-20
    bound = np.linalg.norm(singular[3:]) + np.linalg.norm(steps) * (1 + slack)
    bound += np.linalg.norm(components) * slack + 2.0**-21 * np.linalg.norm(exact)
    assert np.linalg.norm(codec.roundtrip(values) - exact) <= bound


def test_pca_of_few_directions_loses_only_the_rounding() -> None:
    values = normal(200, 4) @ normal(4, 64, seed=1)
    lost = np.linalg.norm(Pca(dimensions=4).roundtrip(values) - values) / np.linalg.norm(values)
    assert lost < 0.01
    assert np.linalg.norm(Pca(dimensions=3).roundtrip(values) - values) > 20 * lost


def test_pca_points_each_direction_to_its_largest_number() -> None:
    values = normal(30, 12)
    basis, mirrored = (Pca().encode(each)["basis"] for each in (values, -values))
    np.testing.assert_allclose(basis.astype(np.float32), mirrored.astype(np.float32), atol=1e-3)
    assert (basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)] > 0).all()


def test_pca_decodes_a_signalling_nan_without_a_warning() -> None:
    parts = Pca().encode(np.ones((1, 4), np.float32))
    parts["ranges"] = np.array([[0, 0x7F800001]], np.uint32).view(np.float32)
    assert np.isnan(Pca().decode(parts, (1, 4))).all()


def test_bytes_are_these() -> None:
    shape = (512, 768)
    sizes = {kind: cls().nbytes(shape) for kind, cls in CODECS.items()}
    assert sizes == {
        "fp32": 512 * 768 * 4,
        "fp16": 512 * 768 * 2,
        "bf16": 512 * 768 * 2,
        "int8": 512 * 768 + 512 * 8,
        "pca": 128 * 512 + 128 * 8 + 128 * 768 * 2 + 768 * 4,
        "top_k": 512 * 8 * (4 + 2),
    }


def test_expansion_is_bounded() -> None:
    for shape in ((10**6,), (10**4, 10**3)):
        for codec in VARIANTS.values():
            codec.check_expansion(shape)
    with pytest.raises(WireError, match="too few bytes") as caught:
        Pca(dimensions=1).check_expansion((10**6, 10**6))
    assert str(EXPANSION) in str(caught.value)


@given(values=arrays())
@settings(max_examples=40)
def test_rows_are_cut_and_joined_again(values: Any) -> None:
    rows = to_rows(values, padding=0.0)
    assert rows.shape == row_shape(values.shape)
    np.testing.assert_array_equal(from_rows(rows, values.shape), values)
