"""The most likely next tokens, damaged by codecs and by senders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from protocols.errors import RejectedMessage
from protocols.messages import NextTokens


def next_tokens(**changes: Any) -> NextTokens:
    fields: dict[str, Any] = {
        "task": "c" * 16,
        "attempt": 0,
        "origins": ("a" * 16,),
        "vocabulary": "b" * 32,
        "size": 3,
        "step": 0,
        "ids": np.array([4, 9]),
        "tokens": np.array([[0, 2, 1], [2, 1, 0]], np.int32),
        "probabilities": np.array([[0.5, 0.25, 0.25], [1, 0, 0]], np.float32),
        "flops": 1.0,
        "seconds": 1.0,
    }
    return NextTokens(**{**fields, **changes})


def test_decoded_rows_are_parts_of_distributions() -> None:
    decoded = np.array([[-0.25, 0.5], [1.5, 0.5], [0, 0], [1e38, 3e38]], np.float32)
    found = NextTokens.after_decoding("probabilities", decoded)
    assert found is decoded
    np.testing.assert_allclose(found, [[0, 0.5], [0.75, 0.25], [0, 0], [0, 0]], atol=0.01)


@pytest.mark.parametrize(
    "probabilities",
    [[[0.5, 0.25, 0.25], [1, 0.01, 0]], [[0.5, 0.25, 0.2], [1, 0, 0]], [[1.2, -0.2, 0], [1, 0, 0]]],
)
def test_rows_over_the_whole_vocabulary_sum_to_one(probabilities: Any) -> None:
    next_tokens().check_values()
    with pytest.raises(RejectedMessage, match="probability distribution"):
        next_tokens(probabilities=np.array(probabilities, np.float32)).check_values()


@pytest.mark.parametrize("row", [[0, 0], [0, 3], [-1, 0]])
def test_tokens_differ_and_are_of_the_vocabulary(row: list[int]) -> None:
    probabilities = np.full((2, 2), 0.25, np.float32)  # a part of a distribution
    right = next_tokens(tokens=np.array([[0, 2]] * 2, np.int32), probabilities=probabilities)
    right.check_values()
    wrong = next_tokens(tokens=np.array([[0, 2], row], np.int32), probabilities=probabilities)
    with pytest.raises(RejectedMessage, match="tokens are repeated"):
        wrong.check_values()


def test_more_tokens_than_the_vocabulary_has_are_refused() -> None:
    with pytest.raises(ValidationError, match="3 tokens of a vocabulary of 2"):
        next_tokens(size=2)
