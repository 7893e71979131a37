"""What can be configured about the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentos.data.cleaning.config import CleaningConfig
from agentos.data.cleaning.near_duplicates import NearDuplicates
from agentos.data.partition import PARTITIONS, Iid, Partition
from agentos.data.sources import SOURCES
from agentos.data.sources.base import Source
from agentos.data.sources.docstrings import Docstrings
from protocols.spec import Kinds, Spec


class TokenizerConfig(Spec):
    """The tokenizer that is trained where an encoder does not bring its own."""

    kind: Literal["wordpiece", "bpe"] = Field(
        default="wordpiece", description="WordPiece, or byte-level byte-pair encoding."
    )
    vocabulary_size: int = Field(
        default=8192, ge=300, le=1_000_000, description="Tokens at most, special ones included."
    )
    sample_documents: int = Field(
        default=20_000,
        ge=0,
        description="Training documents that it learns from, besides the anchors.",
    )
    max_unknown_rate: float = Field(
        default=0.02,
        ge=0.0,
        le=1.0,
        description="Share of [UNK] tokens above which a run is refused.",
    )
    lowercase: bool = Field(default=True, description="Fold case (WordPiece: accents too).")


class DataConfig(Spec):
    """Which text, who reads what, and what is kept apart."""

    source: Annotated[Source, Kinds(SOURCES)] = Field(
        default=Docstrings(), description="Where the text comes from."
    )
    anchor_source: Annotated[Source, Kinds(SOURCES)] | None = Field(
        default=None,
        description="Where the public anchors come from, if not from the same text as everything else.",
    )
    partition: Annotated[Partition, Kinds(PARTITIONS)] = Field(
        default=Iid(), description="How the training text is divided among the agents."
    )
    anchors: int = Field(
        default=256, ge=0, description="Public documents that every agent may read."
    )
    heldout: float = Field(
        default=0.1, gt=0.0, lt=1.0, description="Share of the documents kept for evaluation."
    )
    heldout_limit: int = Field(
        default=2000, ge=1, description="Documents kept for evaluation at most."
    )
    minimum_words: int = Field(
        default=5, ge=1, description="Documents of fewer words are left out."
    )
    cleaning: CleaningConfig = Field(
        default=CleaningConfig(), description="Repairs, and what else is left out."
    )
    near_duplicates: NearDuplicates | None = Field(
        default=NearDuplicates(),
        description="What counts as nearly the same and is left out; nothing where null.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Documents read at most; all where null."
    )
    tokenizer: TokenizerConfig = Field(
        default=TokenizerConfig(), description="The tokenizer to train where none is given."
    )
    max_document_tokens: int = Field(
        default=512, ge=2, description="Tokens at which documents are cut."
    )
    on_bad_record: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="A record that cannot be used stops the run, or is left out and counted.",
    )
