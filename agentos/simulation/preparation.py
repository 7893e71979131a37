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
from agentos.evaluation.centering import LEAST_PER_DIRECTION, MapFitter, too_wide
from agentos.evaluation.joint.joint_config import FIT_TEXTS, JointConfig, suits_joint
from agentos.evaluation.joint.joint_plan import JointPanels, JointPlan
from agentos.events import Listener
from agentos.preflight.flops import sizes_of
from agentos.simulation.poisoning import poisoned
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
    if config.evaluation.joint is not None:
        _check_pca(config, config.evaluation.joint, corpus)
    encoders = [group.encoder for group in config.agents.resolved]
    fitter = config.evaluation.fitter
    _require_width(fitter, encoders)
    heads = config.exchange.heads(frozenset(lazy_models.width_of(encoder) for encoder in encoders))
    listener.on_stage("Tokenising")
    groups, members = _groups(config, encoders, corpus, cache), _members(config, corpus)
    names, labels = _labels(config, corpus), config.data.private_labels
    if labels is not None and labels.poison is not None:
        groups, members = poisoned(labels.poison, groups, members, names, config.seed)
    return Blueprint(
        seed=config.seed,
        groups=groups,
        members=members,
        anchors=_anchors(config, corpus, heads.classes),
        objectives=config.objectives,
        training=config.training,
        heads=heads,
        labels=names,
        evaluate=evaluator.examine,
        evaluation_length=config.evaluation.max_length,
        individual_initialisation=config.agents.individual_initialisation,
        device=config.runtime.device,
        threads=config.runtime.threads,
        state_bytes=config.runtime.state_bytes,
        spill_folder=config.runtime.spill_folder,
        fit_maps=fitter if fitter.variants else None,
        stack=1 if config.runtime.stack == "off" else config.runtime.stack,
    )


def _require_width(fitter: MapFitter, encoders: list[EncoderConfig]) -> None:
    width = fitter.whitening.width if fitter.whitening else None
    narrowest = min(lazy_models.width_of(encoder) for encoder in encoders)
    if width is not None and width > narrowest:
        raise too_wide(width, narrowest)
    if fitter.whitening and width is None:
        widest = max(lazy_models.width_of(encoder) for encoder in encoders)
        if fitter.documents < LEAST_PER_DIRECTION * widest:
            raise ConfigurationError(
                "evaluation.whitening of full width needs more text to be fitted on",
                expected=f"evaluation.center_documents of {LEAST_PER_DIRECTION * widest} or more",
                actual=fitter.documents,
                hint="raise it, or set evaluation.whitening.width",
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


def joint_plan(config: RunConfig, corpus: Corpus) -> JointPlan | None:
    """Return the joint evaluation of a run; None if it has none."""
    joint = config.evaluation.joint
    if joint is None:
        return None
    sizes, length = sizes_of(config.society().encoders), config.evaluation.max_length
    tasks = tuple(filter(suits_joint, config.evaluation.tasks))
    return JointPlan(
        evaluator=Evaluator(tasks, heldout_of(config, corpus), config.seed).with_files(),
        joint=joint_panels(config, joint, corpus),
        flops=lambda agent, tokens: sizes[agent].flops(length, trained=0, embedded=tokens),
    )


def joint_panels(config: RunConfig, joint: JointConfig, corpus: Corpus | None) -> JointPanels:
    """Return the agents that each agent answers with.

    Args:
        config: the run.
        joint: its section, or another in its place.
        corpus: the run's corpus; may be None unless `joint.needs_text`.
    """
    shards = () if corpus is None else corpus.shards
    return JointPanels(
        panels=joint.panels(config.agents.total, config.network().neighbours, shards),
        weights=joint.weights_of(config.agents.total),
        width=joint.pca,
        public=() if corpus is None or joint.pca is None else _public_texts(config, corpus),
    )


def _public_texts(config: RunConfig, corpus: Corpus) -> tuple[str, ...]:
    """Return the texts that a PCA is fitted on: anchors, or without any training text; never held out."""
    rows = corpus.anchors if len(corpus.anchors) else corpus.train
    drawn = generator(config.seed, "joint", "pca").permutation(len(rows))[:FIT_TEXTS]
    return tuple(corpus.texts(rows[np.sort(drawn)]))


def _check_pca(config: RunConfig, joint: JointConfig, corpus: Corpus) -> None:
    """Refuse a PCA that is wider than the narrowest joint embedding, before anything is trained."""
    widths = [lazy_models.width_of(encoder) for encoder in config.society().encoders]
    panels = joint.panels(len(widths), config.network().neighbours, corpus.shards)
    narrowest = min(sum(widths[i] for i in panel) for panel in panels)
    texts = min(len(corpus.anchors) or len(corpus.train), FIT_TEXTS)
    if joint.pca is not None and joint.pca > min(narrowest, texts - 1):
        raise ConfigurationError(
            "evaluation.joint.pca is wider than the joint embedding, or than its texts allow",
            expected=f"at most {min(narrowest, texts - 1)}: {narrowest} numbers for {texts} texts",
            actual=joint.pca,
            hint="lower evaluation.joint.pca, or set it to null",
        )
