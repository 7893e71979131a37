"""The chunked cosine transform, against SciPy's, chunk by chunk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dct, dctn

from agents.exchange.parameters.chunked_dct import ChunkedDCT, dct_matrix
from agents.models.flat_parameters import Slot, flatten, layout_of


@pytest.fixture
def module():
    """Parameters of every shape: a matrix, one whose sides are prime or small, a vector, three dimensions."""
    torch.manual_seed(0)
    module = torch.nn.Module()
    for name, shape in {"a": (12, 8), "b": (7, 3), "c": (10,), "d": (6, 2, 4)}.items():
        module.register_parameter(name, torch.nn.Parameter(torch.randn(shape)))
    return module


def blocks(slot: Slot, flat: np.ndarray, side: int) -> list[np.ndarray]:
    """Cut one parameter into matrices, row by row."""

    def split(size: int) -> int:
        return next(n for n in range(side, 0, -1) if size % n == 0)

    values = flat[slot.start : slot.start + slot.length]
    matrix = values.reshape(slot.shape[0], -1) if len(slot.shape) > 1 else values.reshape(1, -1)
    height, width = split(matrix.shape[0]), split(matrix.shape[1])
    return [
        matrix[y : y + height, x : x + width]
        for y in range(0, matrix.shape[0], height)
        for x in range(0, matrix.shape[1], width)
    ]


@pytest.mark.parametrize("size", [1, 2, 5, 16, 64])
def test_matrix_is_scipys_transform(size):
    expected = dct(np.eye(size), axis=0, norm="ortho")
    np.testing.assert_allclose(dct_matrix(size), expected, atol=1e-6)


@pytest.mark.parametrize(("side", "kept"), [(4, 3), (5, 100), (64, 7), (1, 1)])
def test_largest_components_are_those_of_every_chunk(module, side, kept):
    layout = layout_of(module)
    flat = flatten(module, layout)
    transform = ChunkedDCT.of(layout.slots, side, kept)
    values, places = transform.largest(flat)
    expected_values, expected_places = [], []
    for slot in layout.slots:
        for block in blocks(slot, flat.double().numpy(), side):
            components = dctn(block, norm="ortho").ravel()
            chosen = sorted(np.argsort(-np.abs(components))[:kept])
            expected_places += chosen
            expected_values += [components[place] for place in chosen]
    assert transform.kept_components == len(expected_values)
    np.testing.assert_array_equal(places.numpy(), expected_places)
    np.testing.assert_allclose(values.numpy(), expected_values, atol=1e-5)


def test_all_components_give_the_parameters_back(module):
    layout = layout_of(module)
    flat = flatten(module, layout)
    transform = ChunkedDCT.of(layout.slots, 4, 16)
    again = transform.mean([transform.largest(flat)], flat)
    np.testing.assert_allclose(again.numpy(), flat.numpy(), atol=1e-5)
    assert not again[flat == 0].any(), "padding stays zero"


def test_mean_of_a_component_is_over_those_that_hold_it():
    slots = (Slot("a", (4,), 0, 4),)
    transform = ChunkedDCT.of(slots, 4, 2)
    held = [
        (torch.tensor([3.0, 5.0]), torch.tensor([0, 2])),
        (torch.tensor([1.0, 7.0]), torch.tensor([0, 3])),
    ]
    mean = transform.mean(held, torch.zeros(16))[:4]
    components = dct(mean.double().numpy(), norm="ortho")
    np.testing.assert_allclose(components, [2.0, 0.0, 5.0, 7.0], atol=1e-6)


def test_layout_names_runs_of_like_chunks():
    shapes = [(8, 4), (4, 4), (6,), (5,)]
    slots = tuple(
        Slot(str(i), shape, 64 * i, int(np.prod(shape))) for i, shape in enumerate(shapes)
    )
    assert ChunkedDCT.of(slots, 4, 8).chunk_layout == "3x16x8:2x3x3:5x1x1"
