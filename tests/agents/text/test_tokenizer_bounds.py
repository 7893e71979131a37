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


def matching(expression: str, content: str = "") -> Any:
    """Stand for a tokenizer whose decoder replaces what an expression matches."""
    step = {"type": "Replace", "pattern": {"Regex": expression}, "content": content}
    content = json.dumps({"decoder": {"type": "Sequence", "decoders": [step]}})
    return SimpleNamespace(backend_tokenizer=SimpleNamespace(to_str=lambda: content))


@pytest.mark.parametrize(
    "expression", ["(a*)*", "(a+)+", "(?:a+b)*", "((a+))+", "(a+|b){2,}", "(a{1,})*", "x(b(a*)c)+"]
)
def test_repetition_of_a_repetition_is_refused(expression: str) -> None:
    with pytest.raises(ModelError, match="repeats a repetition"):
        require_bounded(matching(expression))


@pytest.mark.parametrize(
    "expression",
    [
        "a*b*",
        "(a)*",
        "(a+)b*",
        "(a+)",
        "(a{1,3})*",
        r"(\*)*",
        r"\(a+\)*",
        "([*+])*",
        "(a+){2}",
        ")*",
    ],
)
def test_other_expressions_are_taken(expression: str) -> None:
    require_bounded(matching(expression))


def test_replacement_of_a_match_may_grow_up_to_the_bound() -> None:
    require_bounded(matching("ab", "c" * MOST_GROWTH))
    with pytest.raises(ModelError, match="longer again and again"):
        require_bounded(matching("ab", "c" * (MOST_GROWTH + 1)))


def test_slow_tokenizer_has_no_steps() -> None:
    require_bounded(SimpleNamespace())  # type: ignore[arg-type]
