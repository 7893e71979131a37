"""Configuration of the data: sources, cleaning, split, partition and tokenizer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentos.data.cleaning.config import CleaningConfig, NearDuplicates
from agentos.data.partition import PARTITIONS, Iid, Partition
from agentos.data.private_labels import PrivateLabels
from agentos.data.sources import SOURCES
from agentos.data.sources.base import Source
from agentos.data.sources.docstrings import Docstrings
from protocols.spec import Kinds, Spec


class TokenizerConfig(Spec):
    """The tokenizer trained for encoders that have no tokenizer."""

    kind: Literal["wordpiece", "bpe"] = Field(
        default="wordpiece", description="WordPiece, or byte-level byte-pair encoding."
    )
    vocabulary_size: int = Field(
        default=8192, ge=300, le=1_000_000, description="Tokens at most, special tokens included."
    )
    sample_documents: int = Field(
        default=20_000,
        ge=0,
        description="Training documents to train the tokenizer on, in addition to the anchors.",
    )
    max_unknown_rate: float = Field(
        default=0.02,
        ge=0.0,
        le=1.0,
        description="Share of [UNK] tokens above which a run is refused.",
    )
    lowercase: bool = Field(default=True, description="Fold case (WordPiece: accents too).")


class DataConfig(Spec):
    """Text of a run: its source, its cleaning, its split, and its division among the agents."""

    source: Annotated[Source, Kinds(SOURCES)] = Field(
        default=Docstrings(), description="Source of the text."
    )
    anchor_source: Annotated[Source, Kinds(SOURCES)] | None = Field(
        default=None,
        description="Source of the public anchors; `source` where null.",
    )
    partition: Annotated[Partition, Kinds(PARTITIONS)] = Field(
        default=Iid(), description="Division of the training text among the agents."
    )
    private_labels: PrivateLabels | None = Field(
        default=None,
        description="Labelled documents that agents have of their own, for the objective labelled; none "
        "if null.",
    )
    anchors: int = Field(default=256, ge=0, description="Public documents that every agent reads.")
    heldout: float = Field(
        default=0.1, gt=0.0, lt=1.0, description="Share of the documents held out for evaluation."
    )
    heldout_limit: int = Field(
        default=2000, ge=1, description="Documents held out for evaluation, at most."
    )
    minimum_words: int = Field(
        default=5, ge=1, description="Documents with fewer words are left out."
    )
    cleaning: CleaningConfig = Field(
        default=CleaningConfig(), description="Repairs and filters of the text."
    )
    near_duplicates: NearDuplicates | None = Field(
        default=NearDuplicates(),
        description="Near duplicates to leave out; none if null.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Documents to read, at most; all where null."
    )
    tokenizer: TokenizerConfig = Field(
        default=TokenizerConfig(), description="The tokenizer to train for encoders that have none."
    )
    max_document_tokens: int = Field(
        default=512, ge=2, description="Tokens at which documents are truncated."
    )
    on_bad_record: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="An unusable record stops the run, or is left out and counted.",
    )
