"""Cutting of a parameter layout into fragments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.parameters.fragments import fragments_of
from agents.models.flat_parameters import Slot
from protocols.errors import ConfigurationError

LINE = 16
SLOTS = tuple(
    Slot(name, shape, start * LINE, int(np.prod(shape)))
    for name, shape, start in [
        ("backbone.embeddings.words.weight", (20, 16), 0),
        ("backbone.layer.0.dense.weight", (16, 10), 20),
        ("backbone.layer.1.dense.weight", (16, 10), 30),
        ("backbone.layer.0.dense.bias", (10,), 40),  # padded to a line
        ("backbone.layer.1.dense.bias", (10,), 41),
        ("head.norm.weight", (16,), 42),
    ]
)
SIZE = 43 * LINE


def cover(fragments) -> np.ndarray:
    """Count how often each element belongs to a fragment: `[fragments, P]`."""
    counts = np.zeros((len(fragments), SIZE), dtype=int)
    for number, fragment in enumerate(fragments):
        for start, end in fragment.places:
            counts[number, start:end] += 1
    return counts


@pytest.mark.parametrize("pattern", ["sequential", "strided"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_every_element_is_in_one_fragment_and_fragments_are_alike_in_size(pattern, count):
    counts = cover(fragments := fragments_of(SLOTS, count, pattern))
    assert (counts.sum(axis=0) == 1).all()
    sizes = counts.sum(axis=1)
    assert sizes.tolist() == [fragment.size for fragment in fragments]
    pieces = -(-4 // count) if pattern == "strided" else 1
    assert sizes.max() - sizes.min() <= LINE * pieces


def test_sequential_fragments_follow_the_layers_of_the_model():
    order = [*range(30), 40, *range(30, 40), 41, 42]  # lines: biases next to their matrices
    fragments = fragments_of(SLOTS, 2, "sequential")
    for fragment, lines in zip(fragments, (order[:21], order[21:]), strict=True):
        expected = sorted(line * LINE + i for line in lines for i in range(LINE))
        found = [i for start, end in fragment.places for i in range(start, end)]
        assert found == expected


def test_strided_fragments_take_pieces_of_all_depths():
    for counts in cover(fragments_of(SLOTS, 2, "strided")):
        # Four layers make four pieces, the first and third of one, the second and fourth of the other.
        assert counts[: 21 * LINE].any()
        assert counts[21 * LINE :].any()


def test_what_is_written_is_read_again_and_nothing_else_changes():
    flat = torch.arange(SIZE, dtype=torch.float32)
    for fragment in fragments_of(SLOTS, 3, "strided"):
        changed = flat.clone()
        fragment.write(changed, -fragment.read(flat) - 1)
        assert torch.equal(fragment.read(changed), -fragment.read(flat) - 1)
        assert int((changed != flat).sum()) == fragment.size


def test_more_fragments_than_parameters_are_refused():
    with pytest.raises(ConfigurationError, match=r"exchange\.fragments"):
        fragments_of(SLOTS, 44, "sequential")
    assert len(fragments_of(SLOTS, 43, "sequential")) == 43
