"""How text is cleaned, and which of it is left out."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Literal

from pydantic import Field

from agentos.data.cleaning import clean as cleaning
from agentos.data.cleaning import filters
from agentos.data.cleaning.html import looks_like_html, strip_html
from protocols.spec import Spec

# What ftfy could repair; it is slow, so other text does not go through it. A character of UTF-8 that was
# decoded wrongly has become two at least, or one of these two and a space; the rest are controls of
# Latin-1, which come from Windows, and ligatures.
_SUSPECT = re.compile(
    "[\x80-\x9f\xc2\xc3\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]|[^\x00-\x7f]{2}"
)


class CleaningConfig(Spec):
    """Repairs, and filters beyond `data.minimum_words`.

    Repairs change nothing in text that is in order. The filters are off: they are made for web pages,
    and reference text such as docstrings repeats itself for good reasons.
    """

    repair_unicode: bool = Field(
        default=True, description="Undo wrong decodings, such as â€œ for a quotation mark (ftfy)."
    )
    html: Literal["keep", "strip", "auto"] = Field(
        default="auto",
        description="Take tags and entities out of all text, of none, or of what is clearly HTML.",
    )
    maximum_words: int | None = Field(
        default=None, ge=1, description="Documents of more words are left out."
    )
    maximum_duplicate_lines: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="Share of repeated lines above which a document is left out; Gopher: 0.3.",
    )
    maximum_top_ngram: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="Share of characters in the commonest n-gram above which a document is left out; "
        "Gopher: 0.18.",
    )
    ngram_words: int = Field(default=3, ge=1, le=10, description="Words of that n-gram.")
    language: str | None = Field(
        default=None,
        pattern="^[a-z]{2,3}$",
        description="Code of the language to keep, such as en; others are left out.",
    )
    minimum_probability: float = Field(
        default=0.5, ge=0.0, le=1.0, description="That a document is in `language`."
    )

    def clean(self, text: str) -> str:
        """Return the repaired text, tidied by `agentos.data.cleaning.clean.clean`.

        Example:
            >>> CleaningConfig().clean("<p>It is <i>not</i> cafÃ©.</p>")
            'It is not café.'
        """
        if self.repair_unicode and not text.isascii() and _SUSPECT.search(text):
            text = _repair(text)
        if self.html == "strip" or (self.html == "auto" and looks_like_html(text)):
            text = strip_html(text)
        return cleaning.clean(text)

    def refusal(self, text: str, minimum_words: int) -> str | None:
        """Return why a clean text is left out, a name in the counts; None if it is kept."""
        words = cleaning.words(text)
        if len(words) < minimum_words:
            return "too_short"
        if self.maximum_words is not None and len(words) > self.maximum_words:
            return "too_long"
        if self._repeats(text, words):
            return "repetitive"
        if self.language is not None:
            probability = filters.language_probability(text, self.language)
            return "other_language" if probability < self.minimum_probability else None
        return None

    def _repeats(self, text: str, words: list[str]) -> bool:
        lines, ngram = self.maximum_duplicate_lines, self.maximum_top_ngram
        return (lines is not None and filters.duplicate_line_share(text) > lines) or (
            ngram is not None and filters.top_ngram_share(words, self.ngram_words) > ngram
        )

    def fingerprint(self) -> str:
        """Return all that clean text depends on: the fields, and the releases of what is called."""
        called = [("ftfy", self.repair_unicode), ("py3langid", self.language is not None)]
        releases = [f"{name} {version(name)}" for name, used in called if used]
        return f"{cleaning.VERSION} {self.model_dump_json()} {releases}"


def _repair(text: str) -> str:
    import ftfy

    # Only what is broken: curly quotes and full-width characters (Chinese punctuation) are text.
    return ftfy.fix_text(
        text,
        unescape_html=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
    )
