"""Measures of text quality: repetition and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from protocols.errors import ConfigurationError

LANGUAGE_CHARACTERS = 5_000  # the beginning of a long text suffices to identify its language


def duplicate_line_share(text: str) -> float:
    """Return the share of non-empty lines that repeat an earlier line.

    Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", 2021,
    appendix A.1, leave out web pages above 0.30.

    Example:
        >>> duplicate_line_share("menu\\ntext\\n\\nmenu\\nend")
        0.25
    """
    lines = [line for line in text.split("\n") if line.strip()]
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def top_ngram_share(words: Sequence[str], size: int) -> float:
    """Return the share of characters that belong to the most frequent n-gram of words, 0 to 1.

    Rae et al., 2021 (as above), leave out web pages above 0.20 for 2-grams, 0.18 for 3-grams and
    0.16 for 4-grams. Occurrences that overlap count in full, as there; an n-gram that occurs once
    is not a repetition. Among equally frequent n-grams the longest counts.

    Args:
        words: words of the text, in order.
        size: n, the number of words.

    Example:
        >>> top_ngram_share("buy now buy now or else".split(), 2)
        0.6666666666666666
    """
    total = sum(map(len, words))
    counts = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    most = max(counts.values(), default=0)
    if most < 2:
        return 0.0
    longest = max(sum(map(len, ngram)) for ngram, count in counts.items() if count == most)
    return min(1.0, most * longest / total)


def language_probability(text: str, language: str) -> float:
    """Return the probability that a text is in a language, 0 to 1, judged by its beginning.

    Naive Bayes over bytes: Lui and Baldwin, "langid.py: An Off-the-shelf Language Identification
    Tool", 2012. On a few words it is little more than a guess.

    Args:
        text: any text.
        language: two letters of ISO 639-1, such as ``en``.

    Raises:
        ConfigurationError: the model does not know the language.

    Example:
        >>> language_probability("The house is on the other side of the street.", "en") > 0.9
        True
    """
    known = _identifier()
    if language not in known.labels:
        raise ConfigurationError(
            f"data.cleaning.language: {language!r} is not known",
            expected=f"one of {', '.join(sorted(known.labels))}",
            hint="set a two-letter code, such as en, or null",
        )
    return float(dict(known.rank(text[:LANGUAGE_CHARACTERS]))[language])


@lru_cache(maxsize=1)
def _identifier() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
