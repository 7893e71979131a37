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
from agentos.learning.finished_run import read_before
from agentos.learning.streams import Episode, Folder, Stream, StreamText, cut
from agentos.learning.streams.base import Rows
from agentos.simulation.preparation import blueprint_of
from agents.continual import Ridge
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
        names: names of the classes, those of a folder's files in the order in which they came.
        classes: classes that there is room for.
        codes: `[documents]`, the class of each.
        episodes: the episodes; anchors are in none of them.
        repeated: near duplicates that were left out.
        blueprint: of the first episode, with the objectives of every episode.
        seen: share of the test documents that the encoders had read before, without labels; None for encoders
            that begin with random weights.
    """

    config: RunConfig
    corpus: Corpus
    text: StreamText
    names: tuple[str, ...]
    classes: int
    codes: Rows
    episodes: tuple[Episode, ...]
    repeated: int
    blueprint: Blueprint
    seen: float | None = None

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

    def arm(self) -> Arm:
        """Return the setting of every episode."""
        policy, exchange = self.config.policy, self.config.exchange
        return Arm(exchange, exchange.anchor_fraction, policy.checksums, policy.on_nan == "pause")


def draw_up(life: LifeConfig, listener: Listener, cache: Path | None = None) -> Curriculum:
    """Read the text of a life, divide it into episodes, and draw up the first of them.

    Raises:
        DataError: the source cannot be read.
        ConfigurationError: it does not fit the stream, or the society.
    """
    config = life.run()
    division = divided(config, life.stream, listener, cache)
    text, episodes = division.text, division.episodes
    names, codes = _classes(text, in_order=isinstance(life.stream, Folder))
    classes = _room(life, names)
    first = episodes[0]
    shards = _shards(config, text, codes, first)
    corpus = replace(
        division.whole,
        train=first.train,
        anchors=division.anchors,
        heldout=first.test,
        shards=tuple(shards),
        names=tuple(f"agent-{agent}" for agent in range(len(shards))),
        labelled=(),
    )
    blueprint = blueprint_of(config, corpus, listener, cache)
    retention = life.learn.retention()
    objectives = (
        *config.objectives,
        Labelled(classes=classes, share=life.labelled_share),
        *(() if retention is None else (retention,)),
        *((Ridge(classes=classes),) if life.head == "ridge" else ()),
    )
    return Curriculum(
        config=config,
        corpus=corpus,
        text=text,
        names=names,
        classes=classes,
        codes=codes,
        episodes=episodes,
        repeated=division.repeated,
        blueprint=replace(blueprint, objectives=objectives, labels=_padded(names, classes)),
        seen=_seen(life, text, episodes, listener, cache),
    )


@dataclass(frozen=True, eq=False)
class Division:
    """The text of a life, divided.

    Attributes:
        whole: all documents.
        text: the same, by row.
        episodes: the episodes; anchors are in none of them.
        anchors: public documents.
        repeated: near duplicates that were left out.
    """

    whole: Corpus
    text: StreamText
    episodes: tuple[Episode, ...]
    anchors: Rows
    repeated: int


def divided(
    config: RunConfig, stream: Stream, listener: Listener, cache: Path | None = None
) -> Division:
    """Read the text of a life, and divide it into episodes.

    Raises:
        DataError: the source cannot be read.
        ConfigurationError: it does not fit the stream.
    """
    listener.on_stage("Reading text")
    whole = prepare(config.data, agents=config.agents.total, seed=config.seed, cache=cache)
    text = _text_of(whole)
    text.required_labels("a life")
    listener.on_stage("Dividing the stream")
    episodes, repeated = cut(stream, text, config.seed)
    anchors, episodes = _anchors(config, episodes)
    return Division(whole, text, episodes, anchors, repeated)


def _classes(text: StreamText, in_order: bool) -> tuple[tuple[str, ...], Rows]:
    """Return the names of the classes, and the class of each document.

    Args:
        text: the documents.
        in_order: whether names stay in the order in which they come, so that new ones change no class.
    """
    labels = text.required_labels("a life")
    names = tuple(dict.fromkeys(labels) if in_order else sorted(set(labels)))
    place = {name: code for code, name in enumerate(names)}
    return names, np.array([place[label] for label in labels], np.int64)


def _room(life: LifeConfig, names: tuple[str, ...]) -> int:
    """Return the classes that heads have room for; refuse more labels than that."""
    room = max(2, len(names)) if life.labels is None else life.labels
    if len(names) > room:
        raise ConfigurationError(
            "the text has more labels than the life has room for",
            expected=f"at most {room}",
            actual=f"{len(names)}, {names[-1]!r} among them",
            hint="raise `labels`, and begin in another folder: the heads of agents have a fixed size",
        )
    return room


def _padded(names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    return (*names, *(f"(label {code})" for code in range(len(names), classes)))


def _seen(
    life: LifeConfig,
    text: StreamText,
    episodes: Sequence[Episode],
    listener: Listener,
    cache: Path | None,
) -> float | None:
    if life.begin_run is None:
        return None
    tests = [text.texts[int(row)] for episode in episodes for row in episode.test]
    return float(read_before(life.begin_run, tests, listener, cache).mean())


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
