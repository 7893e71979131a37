"""Replacements of a foreign tokenizer may lengthen a text up to a bound, all of them together."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from agents.text.tokenizer_bounds import MOST_GROWTH, require_bounded
from protocols.errors import ModelError


def replacing(*lengths: int) -> Any:
    """Stand for a tokenizer whose normalizer replaces a letter by so many, once for each length."""
    steps = [{"type": "Replace", "pattern": {"String": "a"}, "content": "b" * n} for n in lengths]
    content = json.dumps({"normalizer": {"type": "Sequence", "normalizers": steps}})
    return SimpleNamespace(backend_tokenizer=SimpleNamespace(to_str=lambda: content))


@pytest.mark.parametrize("lengths", [(MOST_GROWTH,), (MOST_GROWTH // 10, 10), (0, 1)])
def test_growth_up_to_the_bound_is_taken(lengths: tuple[int, ...]) -> None:
    require_bounded(replacing(*lengths))


@pytest.mark.parametrize("lengths", [(MOST_GROWTH + 1,), (MOST_GROWTH // 10, 11)])
def test_growth_beyond_the_bound_is_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="exponential time") as caught:
        require_bounded(replacing(*lengths))
    assert "longer again and again" in str(caught.value)
