"""Part of knowledge in an episode: which texts claims come from, and answers that draw on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import Curriculum
from agentos.learning.knowledge.claim_exchange import EpisodeTexts, LabelledTexts
from agentos.learning.knowledge.knowledge_record import KnowledgeRecord
from agentos.learning.knowledge.society_knowledge import SocietyKnowledge
from agentos.learning.outcome.episode_accuracies import Accuracies
from agentos.learning.streams import Episode
from agentos.preflight.flops import sizes_of
from agentos.runtime import Session
from protocols.seeding import generator

Rows = NDArray[np.int64]
Opinions = dict[int, NDArray[np.float64]]


class EpisodeKnowledge:
    """Knowledge of a society in an episode; it does nothing where the society keeps no knowledge base.

    Args:
        config: the life.
        curriculum: its episodes.
        session: hosts that are up.
        episode: the episode to learn.
        society: what the society knows; None if it keeps no base.
    """

    def __init__(
        self,
        config: LifeConfig,
        curriculum: Curriculum,
        session: Session,
        episode: Episode,
        society: SocietyKnowledge | None,
    ) -> None:
        self.config = config
        self.curriculum = curriculum
        self.session = session
        self.episode = episode
        self.society = society

    def held(self) -> Rows:
        """Return the labelled documents of the episode that are neither trained on nor stated."""
        return held_rows(self.config, self.curriculum, self.episode.number)

    def mixed(self, heads: Opinions, rows: Rows) -> Opinions:
        """Return the answers of agents to documents, who draw on what the society knows, if it does."""
        if self.society is None:
            return heads
        return self.society.mixed(self.session, heads, self.curriculum.texts(rows))

    def learn(self, labels: dict[int, int], heads: Callable[[Rows], Opinions]) -> tuple[int, int]:
        """Draft what the episode adds to the knowledge of the society; return bytes sent, and FLOPs.

        Args:
            labels: the class of each document whose label is used, by row.
            heads: returns the answers of agents' heads to some documents.
        """
        if self.society is None:
            return 0, 0
        rows = [held_rows(self.config, self.curriculum, n) for n in range(self.episode.number + 1)]
        held = np.concatenate(rows)
        texts = self._texts(labels, held)
        network = self.curriculum.config.network()
        sent = self.society.learn(
            self.session, network, texts, self.episode.number, self.config.novelty
        )
        if len(held):
            self.society.calibrate(self.session, heads(held), texts.held)
        config = self.curriculum.config
        sizes = sizes_of(config.society().encoders)
        return sent.total(), self.society.work.flops(sizes, config.evaluation.max_length)

    def accept(self, tested: Accuracies) -> KnowledgeRecord | None:
        """Write the draft to the base; return its figures.

        Args:
            tested: accuracies of the society, with the knowledge and without.
        """
        if self.society is None:
            return None
        found = self.society.record()
        self.society.accept()
        if self.config.use is None:
            return found
        used = {
            "head_accuracies": tested.heads,
            "agent_accuracy": tested.agents,
            "agent_head_accuracy": tested.agent_heads,
        }
        return found.model_copy(update=used)

    def _texts(self, labels: dict[int, int], held: Rows) -> EpisodeTexts:
        curriculum = self.curriculum
        members = curriculum.members(self.episode, labels)

        def labelled(rows: Rows, classes: Rows) -> LabelledTexts:
            return LabelledTexts(
                curriculum.texts(rows), [curriculum.names[code] for code in classes]
            )

        return EpisodeTexts(
            known={each.id: labelled(each.labelled, each.classes) for each in members},
            unlabelled={
                each.id: curriculum.texts(np.setdiff1d(each.rows, [*each.labelled, *held]))
                for each in members
            },
            held=labelled(held, curriculum.codes[held]),
        )


def held_rows(config: LifeConfig, curriculum: Curriculum, number: int) -> Rows:
    """Return the labelled documents of an episode that only choose the weight of claims, sorted."""
    labelled = curriculum.episodes[number].labelled
    if config.use is None:
        return labelled[:0]
    drawn = generator(curriculum.config.seed, "life", "held", number).permutation(labelled)
    return np.sort(drawn[: min(config.use.most, round(config.use.held * len(labelled)))])
