"""Curriculum of a life: its episodes, and what hosts need to learn each of them.

Encoders, tokenizers and anchors come from the first episode alone: nothing is pretrained on what comes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus, prepare
from agentos.events import Listener
from agentos.learning.config import LifeConfig
from agentos.learning.streams import Episode, StreamText, cut
from agentos.learning.streams.base import Rows
from agentos.simulation.preparation import blueprint_of
from agents.continual import Ridge
from agents.exchange import Exchange
from agents.objectives import Labelled
from agents.training.blueprint import Arm, Blueprint, Member
from protocols.errors import ConfigurationError
from protocols.seeding import generator


@dataclass(frozen=True, eq=False)
class Curriculum:
    """The episodes of a life.

    Attributes:
        config: the society's run, without what a life adds.
        corpus: all documents; train, anchors and held-out of the first episode.
        text: the documents, by row of the corpus.
        names: names of the classes.
        codes: `[documents]`, the class of each.
        episodes: the episodes; anchors are in none of them.
        repeated: near duplicates that were left out.
        blueprint: of the first episode, with the objectives of every episode.
    """

    config: RunConfig
    corpus: Corpus
    text: StreamText
    names: tuple[str, ...]
    codes: Rows
    episodes: tuple[Episode, ...]
    repeated: int
    blueprint: Blueprint

    def texts(self, rows: Rows) -> list[str]:
        """Return the texts of some rows."""
        return [self.text.texts[int(row)] for row in rows]

    def shards(self, episode: Episode) -> list[Rows]:
        """Return the training documents of each agent in an episode, sorted."""
        return _shards(self.config, self.text, self.codes, episode)

    def members(self, episode: Episode, labels: dict[int, int]) -> tuple[Member, ...]:
        """Return the agents with their documents of an episode.

        Args:
            episode: the episode.
            labels: the class of each document whose label is used, true or automatic, by row.

        Raises:
            ConfigurationError: an agent would have no labelled document.
        """
        members = []
        for member, rows in zip(self.blueprint.members, self.shards(episode), strict=True):
            known = rows[np.isin(rows, list(labels))]
            if not len(known):
                raise ConfigurationError(
                    f"agent-{member.id} has no labelled document in episode {episode.number}",
                    expected="one or more for each agent",
                    actual=f"{len(labels)} for {len(self.blueprint.members)} agents",
                    hint="raise stream.labelled, take fewer agents, or data.partition iid",
                )
            classes = np.array([labels[int(row)] for row in known], np.int64)
            members.append(replace(member, rows=rows, labelled=known, classes=classes))
        return tuple(members)

    def arm(self, exchange: Exchange) -> Arm:
        """Return the setting of an episode under an exchange."""
        policy = self.config.policy
        return Arm(exchange, exchange.anchor_fraction, policy.checksums, policy.on_nan == "pause")


def draw_up(life: LifeConfig, listener: Listener, cache: Path | None = None) -> Curriculum:
    """Read the text of a life, divide it into episodes, and draw up the first of them.

    Raises:
        DataError: the source cannot be read.
        ConfigurationError: it does not fit the stream, or the society.
    """
    config = life.run()
    listener.on_stage("Reading text")
    whole = prepare(config.data, agents=config.agents.total, seed=config.seed, cache=cache)
    text = _text_of(whole)
    names, codes = np.unique(text.required_labels("a life"), return_inverse=True)
    listener.on_stage("Dividing the stream")
    episodes, repeated = cut(life.stream, text, config.seed)
    anchors, episodes = _anchors(config, episodes)
    first = episodes[0]
    shards = _shards(config, text, codes.astype(np.int64), first)
    corpus = replace(
        whole,
        train=first.train,
        anchors=anchors,
        heldout=first.test,
        shards=tuple(shards),
        names=tuple(f"agent-{agent}" for agent in range(len(shards))),
        labelled=(),
    )
    blueprint = blueprint_of(config, corpus, listener, cache)
    retention = life.learn.retention()
    objectives = (
        *config.objectives,
        Labelled(classes=max(2, len(names)), share=life.labelled_share),
        *(() if retention is None else (retention,)),
        *((Ridge(classes=max(2, len(names))),) if life.head == "ridge" else ()),
    )
    return Curriculum(
        config=config,
        corpus=corpus,
        text=text,
        names=tuple(str(name) for name in names),
        codes=codes.astype(np.int64),
        episodes=episodes,
        repeated=repeated,
        blueprint=replace(
            blueprint, objectives=objectives, labels=tuple(str(name) for name in names)
        ),
    )


def _text_of(corpus: Corpus) -> StreamText:
    rows = np.arange(len(corpus))
    return StreamText(corpus.ids(rows), corpus.texts(rows), corpus.labels(rows))


def _anchors(config: RunConfig, episodes: tuple[Episode, ...]) -> tuple[Rows, tuple[Episode, ...]]:
    """Take the public anchors out of the unlabelled training documents of the first episode."""
    first = episodes[0]
    free = np.setdiff1d(first.train, first.labelled, assume_unique=True)
    count = config.data.anchors
    if len(free) < count + config.agents.total:
        raise ConfigurationError(
            "the first episode has too few documents to take anchors from",
            expected=f"{count} anchors, and a document for each of {config.agents.total} agents",
            actual=f"{len(free)} unlabelled documents",
            hint="lower data.anchors, or let more come in the first episode",
        )
    drawn = np.sort(generator(config.seed, "life", "anchors").permutation(free)[:count])
    left = replace(first, train=np.setdiff1d(first.train, drawn, assume_unique=True))
    return drawn, (left, *episodes[1:])


def _shards(config: RunConfig, text: StreamText, codes: Rows, episode: Episode) -> list[Rows]:
    """Divide the training documents of an episode; the labelled ones apart, so that each agent has some."""
    unlabelled = np.setdiff1d(episode.train, episode.labelled, assume_unique=True)
    parts = []
    for name, rows in (("unlabelled", unlabelled), ("labelled", episode.labelled)):
        shares: Sequence[Rows] = config.data.partition.assign(
            codes[rows],
            lambda places, rows=rows: [text.texts[int(row)] for row in rows[places]],  # type: ignore[misc]
            len(rows),
            config.agents.total,
            generator(config.seed, "partition", name, episode.number),
        )
        parts.append([rows[share] for share in shares])
    return [np.sort(np.concatenate(pair)) for pair in zip(*parts, strict=True)]
