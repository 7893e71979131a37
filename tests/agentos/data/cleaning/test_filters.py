from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.data.cleaning.filters import (
    duplicate_line_share,
    language_probability,
    top_ngram_share,
)
from protocols.errors import ConfigurationError


def test_duplicate_lines_are_counted_without_empty_ones() -> None:
    assert duplicate_line_share("a\n\n\nb\na\na") == 0.5
    assert duplicate_line_share("a\n\nb") == 0.0
    assert duplicate_line_share("") == 0.0


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=12), st.integers(1, 4))
def test_top_ngram_share_equals_a_slow_count(words: list[str], size: int) -> None:
    ngrams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    counts = Counter(ngrams)
    most = max(counts.values(), default=0)
    expected = 0.0
    if most > 1:
        longest = max(len("".join(ngram)) for ngram in counts if counts[ngram] == most)
        expected = min(1.0, most * longest / len("".join(words)))
    assert top_ngram_share(words, size) == expected


def test_language_is_told_from_a_sentence() -> None:
    english = "The committee decided to meet again in the spring of next year."
    german = "Der Ausschuss beschloss, sich im Frühjahr des nächsten Jahres wieder zu treffen."
    assert language_probability(english, "en") > 0.9
    assert language_probability(german, "de") > 0.9
    assert language_probability(german, "en") < 0.1
    assert language_probability("今天天气很好，我们去公园散步。", "zh") > 0.5


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'xx' is not known"):
        language_probability("text", "xx")
