"""Cleaning as configured: repairs of a text, and the reason why it is left out."""

from __future__ import annotations

import re
from importlib.metadata import version

import ftfy

from agentos.data.cleaning import clean as cleaning
from agentos.data.cleaning import filters
from agentos.data.cleaning.config import CleaningConfig
from agentos.data.cleaning.html import looks_like_html, strip_html
from agentos.data.scripts import words as words_of

# Text that ftfy could change; ftfy is slow, so all other text bypasses it. A wrongly decoded UTF-8
# character has become at least two characters, or \xc2 or \xc3 and a space; the rest are controls of
# Latin-1, which come from Windows, and ligatures.
_SUSPECT = re.compile(
    "[\x80-\x9f\xc2\xc3\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]|[^\x00-\x7f]{2}"
)


def clean_text(text: str, config: CleaningConfig) -> str:
    """Return the repaired text, normalised by `agentos.data.cleaning.clean.clean`.

    Example:
        >>> clean_text("<p>It is <i>not</i> cafÃ©.</p>", CleaningConfig())
        'It is not café.'
    """
    if config.repair_unicode and not text.isascii() and _SUSPECT.search(text):
        text = _repair(text)
    if config.html == "strip" or (config.html == "auto" and looks_like_html(text)):
        text = strip_html(text)
    return cleaning.clean(text)


def refusal(text: str, config: CleaningConfig, minimum_words: int) -> str | None:
    """Return the reason for leaving out a clean text, a name in the counts; None to keep it."""
    words = words_of(text)
    if len(words) < minimum_words:
        return "too_short"
    if config.maximum_words is not None and len(words) > config.maximum_words:
        return "too_long"
    if _repeats_itself(text, words, config):
        return "repetitive"
    if config.language is not None:
        probability = filters.language_probability(text, config.language)
        return "other_language" if probability < config.minimum_probability else None
    return None


def _repeats_itself(text: str, words: list[str], config: CleaningConfig) -> bool:
    lines, ngram = config.maximum_duplicate_lines, config.maximum_top_ngram
    return (lines is not None and filters.duplicate_line_share(text) > lines) or (
        ngram is not None and filters.top_ngram_share(words, config.ngram_words) > ngram
    )


def fingerprint(config: CleaningConfig) -> str:
    """Return everything that clean text depends on: the fields, and the libraries' releases."""
    libraries = [("ftfy", config.repair_unicode), ("py3langid", config.language is not None)]
    releases = [f"{name} {version(name)}" for name, used in libraries if used]
    return f"{cleaning.VERSION} {config.model_dump_json()} {releases}"


def _repair(text: str) -> str:
    # Only repairs: curly quotes and full-width characters (Chinese punctuation) are sound text.
    return ftfy.fix_text(
        text,
        unescape_html=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
    )
