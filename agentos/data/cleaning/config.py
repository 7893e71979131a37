"""Configuration of cleaning: repairs, filters and near duplicates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from protocols.spec import Spec


class CleaningConfig(Spec):
    """Repairs of broken text, and filters beyond `data.minimum_words`.

    Repairs leave sound text unchanged. The filters are off by default: they are made for web pages, and
    reference text such as docstrings repeats itself for good reasons.
    """

    repair_unicode: bool = Field(
        default=True, description="Undo wrong decodings, such as â€œ for a quotation mark (ftfy)."
    )
    html: Literal["keep", "strip", "auto"] = Field(
        default="auto",
        description="Strip tags and entities from all text, from none, or from what is clearly HTML.",
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
        description="Share of characters in the most frequent n-gram above which a document is left out; "
        "Gopher: 0.18.",
    )
    ngram_words: int = Field(default=3, ge=1, le=10, description="Words of that n-gram.")
    language: str | None = Field(
        default=None,
        pattern="^[a-z]{2,3}$",
        description="Code of the language to keep, such as en; other languages are left out.",
    )
    minimum_probability: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Probability of `language` below which a document is left out.",
    )


class NearDuplicates(Spec):
    """Near duplicates: of a group of documents that resemble each other, only the first is kept.

    Resemblance is transitive here: a chain of similar documents is one group. An estimate from k
    permutations has a standard error of sqrt(s (1 - s) / k): 0.05 for a resemblance s of 0.8 and 64
    permutations. About one pair in a hundred at the threshold is missed.
    """

    threshold: float = Field(
        default=0.8,
        gt=0.0,
        le=1.0,
        description="Estimated resemblance from which documents count as near duplicates.",
    )
    permutations: int = Field(
        default=64, ge=8, le=1024, description="Length of signatures; 4 bytes each a document."
    )
    shingle_words: int = Field(
        default=5,
        ge=1,
        le=32,
        description="Words of a shingle; a Chinese, Japanese or Thai letter counts as one.",
    )
