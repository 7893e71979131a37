from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from agents.views import Setting


class Thirds(SimpleNamespace):
    """A tokenizer of 2,200 tokens; every third begins a word, from the 1,000th on."""

    all_special_ids = (0, 1, 2, 3, 4)
    mask_token_id = 4

    def __len__(self) -> int:
        return 2200

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"t{i}" if (i - 1000) % 3 == 0 else f"##t{i}" for i in ids]


@pytest.fixture(scope="session")
def setting() -> Setting:
    """Tokens 1000, 1003, 1006, ... begin words."""
    tokenizer: Any = Thirds()
    return Setting(64, Vocabulary(tokenizer))


@pytest.fixture
def words_text() -> Text:
    """400 words of three tokens each, in order, one sentence."""
    return Text.of(np.arange(1000, 2200))


@pytest.fixture
def uneven_text() -> Text:
    """Words of 1, 2 or 3 tokens in four sentences."""
    tokens = np.array([1000, 1003, 1004, 1006, 1007, 1008, 1009, 1012, 1013, 1015, 1018, 1019])
    return Text(tokens, np.array([0, 3, 7, 10]))
