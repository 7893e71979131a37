"""Bounds on the steps of a foreign tokenizer, which could otherwise take exponential time or memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedTokenizerBase

from protocols.errors import ModelError

MOST_GROWTH = 1_000
"""Most characters that the replacements of a tokenizer may make of one."""

_STEPS = ("normalizer", "pre_tokenizer", "decoder")
_ATOM = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|[()|]|[*+]|\{\d*,?\d*\}|.", re.DOTALL)


def require_bounded(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer whose replacements multiply a text, or whose expressions may backtrack for ever.

    Raises:
        ModelError: they do.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    content = json.loads(backend.to_str())
    growth = 1
    for step in (found for name in _STEPS for found in _steps(content.get(name))):
        pattern = step.get("pattern")
        if isinstance(pattern, dict) and _repeats_repetition(str(pattern.get("Regex", ""))):
            raise _refusal(
                f"the expression {str(pattern['Regex'])[:60]!r} repeats a repetition",
                "expressions without a repetition inside a repeated group",
            )
        if step.get("type") == "Replace" and isinstance(pattern, dict):
            growth *= _growth(str(step.get("content", "")), pattern)
            if growth > MOST_GROWTH:
                raise _refusal(
                    "its replacements make a text longer again and again",
                    f"at most {MOST_GROWTH} characters for one",
                )


def _refusal(actual: str, expected: str) -> ModelError:
    return ModelError(
        "the tokenizer may take exponential time or memory for a text",
        expected=expected,
        actual=actual,
        hint="use another tokenizer, or take this step out of its tokenizer.json",
    )


def _steps(step: Any) -> Iterator[dict[str, Any]]:
    """Yield the steps of a sequence, nested or not, in their order."""
    waiting = [step]
    while waiting:
        step = waiting.pop()
        if isinstance(step, list):
            waiting.extend(reversed(step))
        elif isinstance(step, dict):
            yield step
            waiting.extend(value for value in step.values() if isinstance(value, list))


def _growth(content: str, pattern: dict[str, Any]) -> int:
    """Return how many characters one may become; an expression may match none, and then one more."""
    if "String" in pattern:
        return max(1, -(-len(content) // max(1, len(str(pattern["String"])))))
    return max(1, len(content))


def _repeats_repetition(expression: str) -> bool:
    """Return whether a group without end repeats something without end, as ``(a*)*`` does."""
    groups, closed = [False], False
    for atom in _ATOM.findall(expression):
        endless = atom in ("*", "+") or (atom.startswith("{") and atom.endswith(",}"))
        if endless and closed:
            return True
        closed = False
        if atom == "(":
            groups.append(False)
        elif atom == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
        elif endless:
            groups[-1] = True
    return False
