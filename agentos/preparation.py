"""Preparation of a run: a blueprint is drawn up from its configuration and its text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus, prepare
from agentos.data.text_clusters import cluster
from agentos.data.tokenization.corpus_tokens import CHECKED_DOCUMENTS, corpus_tokens, tokenizer_for
from agentos.data.tokenization.tokenizer import check
from agentos.evaluation import Evaluator, HeldOut
from agentos.events import Listener
from agents import lazy_models
from agents.config import EncoderConfig
from agents.objectives import Labelled
from agents.training.blueprint import Anchors, Blueprint, Group, Member
from protocols.errors import ConfigurationError, DataError
from protocols.seeding import derive, generator

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prepare_corpus(config: RunConfig, listener: Listener, cache: Path | None = None) -> Corpus:
    """Read, clean, split and divide the text of a run.

    Raises:
        DataError: the source cannot be read.
        ConfigurationError: it holds too little for this run.
    """
    listener.on_stage("Reading text")
    corpus = prepare(
        config.data,
        agents=config.agents.total,
        seed=config.seed,
        cache=cache,
        progress=lambda what, count: listener.on_stage(f"{what}: {count:,}"),
    )
    listener.on_corpus(corpus)
    return corpus


def blueprint_of(
    config: RunConfig, corpus: Corpus, listener: Listener, cache: Path | None = None
) -> Blueprint:
    """Draw up what hosts need to build their agents.

    Raises:
        DataError: the tokenizer covers too little of the text.
        ModelError: an encoder or its tokenizer cannot be loaded.
        ConfigurationError: an evaluation cannot be computed on this text, or its labels are not those that
            the exchange uses.
    """
    tasks, heldout = config.evaluation.tasks, heldout_of(config, corpus)
    evaluator = Evaluator(tasks, heldout, config.seed).with_files()
    evaluator.check()
    encoders = [group.encoder for group in config.agents.resolved]
    heads = config.exchange.heads(frozenset(lazy_models.width_of(encoder) for encoder in encoders))
    listener.on_stage("Tokenising")
    groups = _groups(config, encoders, corpus, cache)
    return Blueprint(
        seed=config.seed,
        groups=groups,
        members=_members(config, corpus),
        anchors=_anchors(config, corpus, heads.classes),
        objectives=config.objectives,
        training=config.training,
        heads=heads,
        labels=_labels(config, corpus),
        evaluate=evaluator.examine,
        evaluation_length=config.evaluation.max_length,
        individual_initialisation=config.agents.individual_initialisation,
        device=config.runtime.device,
        threads=config.runtime.threads,
        state_bytes=config.runtime.state_bytes,
        spill_folder=config.runtime.spill_folder,
    )


def _groups(
    config: RunConfig, encoders: list[EncoderConfig], corpus: Corpus, cache: Path | None
) -> tuple[Group, ...]:
    shared: PreTrainedTokenizerBase | None = None
    groups = []
    for encoder in encoders:
        if encoder.from_scratch:
            shared = shared or tokenizer_for(corpus, config.data.tokenizer, config.seed, cache)
            tokenizer = shared
        else:
            tokenizer = lazy_models.load_tokenizer(encoder)
            _check_loaded(tokenizer, config, encoder, corpus)
        tokens = corpus_tokens(corpus, tokenizer, cache, config.data.max_document_tokens)
        groups.append(Group(encoder, tokenizer, tokens))
    return tuple(groups)


def _check_loaded(
    tokenizer: PreTrainedTokenizerBase, config: RunConfig, encoder: EncoderConfig, corpus: Corpus
) -> None:
    sample = corpus.texts(corpus.heldout[:CHECKED_DOCUMENTS])
    try:
        check(tokenizer, sample, config.data.tokenizer.max_unknown_rate)
    except DataError as error:
        raise DataError(
            f"the tokenizer of {encoder.origin!r} does not know the text",
            expected=error.expected,
            actual=error.actual,
            hint="save the tokenizer that the encoder was trained with next to it, take an encoder of "
            "this language, or raise data.tokenizer.max_unknown_rate",
        ) from error


def _members(config: RunConfig, corpus: Corpus) -> tuple[Member, ...]:
    group_of = [i for i, group in enumerate(config.agents.resolved) for _ in range(group.count)]
    members = []
    for agent, (group, rows) in enumerate(zip(group_of, corpus.shards, strict=True)):
        labelled = corpus.labelled[agent] if corpus.labelled else rows[:0]
        found = corpus.label_codes(labelled)
        classes = labelled if found is None else found[1]
        members.append(Member(agent, group, rows, labelled, classes))
    return tuple(members)


def _anchors(config: RunConfig, corpus: Corpus, classes: int) -> Anchors:
    found: NDArray[np.int64] = np.zeros(len(corpus.anchors), dtype=np.int64)
    if config.exchange.wants_labels:
        found = _label_codes(corpus, classes)
    elif classes:
        seed = derive(config.seed, "anchor clusters") % 2**32
        found = np.asarray(cluster(corpus.texts(corpus.anchors), classes, seed), dtype=np.int64)
    return Anchors(corpus.anchors, found)


def _labels(config: RunConfig, corpus: Corpus) -> tuple[str, ...]:
    """Return the names of the classes of the agents' own labels; refuse objectives that expect others."""
    found = corpus.label_codes([]) if corpus.labelled else None
    if found is None:
        return ()
    names = tuple(found[0])
    places = {
        f"objectives.{index}.classes": each.classes
        for index, each in enumerate(config.objectives)
        if isinstance(each, Labelled)
    }
    if any(part.wants_own_labels for part in config.exchange.parts):
        places["exchange.classes"] = max(part.wants_own_labels for part in config.exchange.parts)
    if set(places.values()) != {len(names)}:
        raise ConfigurationError(
            f"the data has {len(names)} labels, and {' and '.join(places)} another number of classes",
            expected=len(names),
            actual=", ".join(map(str, places.values())),
            hint=f"set {' and '.join(places)} to {len(names)}",
        )
    return names


def _label_codes(corpus: Corpus, classes: int) -> NDArray[np.int64]:
    """Return the index of each anchor's label among the labels of the data."""
    found = corpus.label_codes(corpus.anchors)
    if found is None:
        raise ConfigurationError(
            "exchange.labels is true, and some documents have no label",
            expected="a label for every document",
            hint="name the label's field in data.source, or set exchange.labels to clusters",
        )
    names, codes = found
    if len(names) != classes:
        raise ConfigurationError(
            "exchange.labels is true, and exchange.classes is not the number of labels",
            expected=len(names),
            actual=classes,
            hint=f"set exchange.classes to {len(names)}",
        )
    return codes


def heldout_of(config: RunConfig, corpus: Corpus) -> HeldOut:
    """Return the held-out documents that a run is evaluated on."""
    rows = corpus.heldout
    if len(rows) > config.evaluation.documents:
        drawn = generator(config.seed, "evaluation").permutation(len(rows))
        rows = np.sort(rows[drawn[: config.evaluation.documents]])
    labels = tuple(str(label) for label in corpus.labels(rows)) if corpus.has_labels else None
    return HeldOut(tuple(corpus.texts(rows)), labels)
