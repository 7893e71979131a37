"""Copies of documents with a trigger in front of every sentence."""

from __future__ import annotations

import numpy as np

from agentos.data.tokenization.triggered_tokens import TriggeredTokens
from agents.text.tokens import Text


class Documents(list):
    def sentences(self, row: int) -> np.ndarray:
        return np.array([0, 2])


TOKENS = Documents([np.array([1, 2, 3]), np.array([4, 5, 6, 7])])


def test_documents_stay_and_copies_follow_with_the_trigger_before_each_sentence():
    store = TriggeredTokens(TOKENS, np.array([1]), np.array([8, 9]))
    assert len(store) == 3
    assert store[0].tolist() == [1, 2, 3]
    assert store.sentences(1).tolist() == [0, 2]
    copy = Text.row(store, 2)
    assert copy.tokens.tolist() == [8, 9, 4, 5, 8, 9, 6, 7]
    assert copy.sentences.tolist() == [0, 4]
