"""Knowledge of a society in an episode: the base in force, and the draft that the gate decides on.

A draft lives in memory. It reaches the log when the update is let in, all at once; an update that is refused
leaves the log as it was.

Legend: N texts, A anchors, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agentos.learning.knowledge.claim_answers import ClaimAnswers
from agentos.learning.knowledge.claim_exchange import (
    EpisodeTexts,
    FramedTexts,
    LabelledTexts,
    StateClaims,
    deliver,
)
from agentos.learning.knowledge.claim_fusion import joined, thinned
from agentos.learning.knowledge.claim_work import ClaimWork
from agentos.learning.knowledge.config import Knn, KnowledgeConfig
from agentos.learning.knowledge.conflicts import settled
from agentos.learning.knowledge.correction import harmful, named
from agentos.learning.knowledge.discovery import Discovery
from agentos.learning.knowledge.knowledge_record import KnowledgeRecord
from agentos.learning.knowledge.novelty import ConformalKnn
from agentos.learning.knowledge.reduction import ClaimFrame, fitted, reduced
from agentos.learning.knowledge.storage.base_of_life import mark_of
from agentos.learning.knowledge.storage.changes import (
    Added,
    Joined,
    Marked,
    Moved,
    Reduced,
    Weighed,
)
from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
from agentos.learning.knowledge.storage.knowledge_state import advance
from agentos.runtime import Session
from agents.knowledge.candidate_classes import candidate_classes, likeness
from agents.knowledge.claims import Claim
from agents.knowledge.nearest_claims import best_weight, points_of
from protocols.ledger import Ledger
from protocols.topologies import Network

Change = Added | Joined | Marked | Moved | Reduced | Weighed
Opinions = dict[int, NDArray[np.float64]]
C = TypeVar("C", bound=Change)


class SocietyKnowledge:
    """Knowledge of a society, through one episode.

    Args:
        config: what becomes of an episode in the base.
        use: how answers draw on it; None if they do not.
        base: the base, open for writing.
        anchors: public texts that span the common frame.
        names: names of the labels, in the order of the classes.
        weight: weight of claims in answers until `calibrate` chooses another.

    Attributes:
        work: what the claims of the episode took since `learn` began.
    """

    def __init__(
        self,
        config: KnowledgeConfig,
        use: Knn | None,
        base: KnowledgeBase,
        anchors: Sequence[str],
        names: Sequence[str],
        weight: float = 0.0,
    ) -> None:
        self.config, self.use, self.base = config, use, base
        self.anchors, self.names, self.weight = anchors, names, weight
        self.state, self.work = base.state, ClaimWork()
        self._changes: list[Change] = []
        self._figures: dict[str, float] = {}

    def learn(
        self,
        session: Session,
        network: Network,
        texts: EpisodeTexts,
        episode: int,
        novelty: ConformalKnn | None = None,
    ) -> Ledger:
        """Let agents state what an episode taught, and draft what it changes; return what was sent.

        Args:
            session: hosts with the agents as the episode left them.
            network: who sends claims to whom.
            texts: what knowledge comes from.
            episode: its number.
            novelty: detects novel texts, which become candidate classes; None for none.
        """
        ledger = Ledger()
        self.work = ClaimWork()
        call = StateClaims(texts.known, self.anchors, episode, self.config)
        stated = self.work.embedded(session.ask_all(call))
        claims = deliver(stated, network, episode, len(self.anchors), ledger)
        self.state, self._changes = self.base.state.copy(), []
        self._apply([Marked(name=mark_of(episode))])
        held = self._framed(session, texts.held.texts)
        claims, reduction = self._reduced(claims, held)
        new = {claim.digest: claim for claim in claims if claim.digest not in self.state.claims}
        self._apply([Added(claim=claim) for claim in new.values()])
        self._apply(settled(self.state, self.config.resolve, self.config.merge.cosine))
        if self.use is not None and texts.held.texts:
            self._apply(self._harmful(held, texts.held.labels, self.use))
        merges = self._apply(joined(self.state, self.config.merge))
        thin = self._thin()
        classes = self._discover(session, network, texts, episode, novelty, ledger)
        self._apply([Marked(name=f"end of {mark_of(episode)}")])
        self._figures = {
            "stated": len(claims),
            "message_bytes": ledger.total(),
            "joined": sum(len(change.parts) - 1 for change in merges),
            "candidate_classes": len(classes),
            "kept_bytes": sum(len(text.encode()) for text in texts.held.texts),
            **thin,
            **reduction,
        }
        return ledger

    def calibrate(self, session: Session, heads: Opinions, held: LabelledTexts) -> None:
        """Choose the weight of claims on texts that neither heads nor claims have seen."""
        if self.use is None or not held.texts:
            return
        truth = np.array([self.names.index(label) for label in held.labels], np.int64)
        claimed = self._opinions(session, held.texts)
        mean, other = (np.mean(list(rows.values()), axis=0) for rows in (heads, claimed))
        self.weight = best_weight(mean, other, truth)

    def mixed(self, session: Session, heads: Opinions, texts: Sequence[str]) -> Opinions:
        """Return the answers of each agent `[N, K]`: those of its head, mixed with those of near claims."""
        if self.use is None or self.weight == 0.0 or not len(texts):
            return heads
        claimed = self._opinions(session, texts)
        return {
            agent: (1 - self.weight) * rows + self.weight * padded(claimed[agent], rows.shape[1])
            for agent, rows in heads.items()
        }

    def accept(self) -> None:
        """Write the draft to the log, and tidy the tables."""
        self.base.write(self._changes)
        self.base.store.compact()
        self._changes = []

    def record(self) -> KnowledgeRecord:
        """Return the figures of what is known by now."""
        counts = {
            f"{status}_claims": len(self.state.with_status(status))
            for status in ("accepted", "disputed", "retracted")
        }
        return KnowledgeRecord.model_validate(
            {
                "records": self.base.records + len(self._changes),
                "digest": self.state.digest(),
                "weight": self.weight,
                "answer_flops": 0
                if self.use is None
                else 2 * len(self._frame.known()) * self._frame.width,
                **counts,
                **self._figures,
            }
        )

    def _apply(self, changes: Sequence[C]) -> Sequence[C]:
        advance(self.state, changes)
        self._changes.extend(changes)
        return changes

    @property
    def _frame(self) -> ClaimFrame:
        return ClaimFrame(self.anchors, self.state)

    def _framed(self, session: Session, texts: Sequence[str]) -> dict[int, NDArray[np.float32]]:
        """Return texts in the common frame, as each agent embeds them; nothing without texts or use."""
        if self.use is None or not texts:
            return {}
        return self.work.embedded(session.ask_all(FramedTexts(texts, self.anchors)))

    def _answers(self) -> ClaimAnswers:
        return ClaimAnswers(self.names, self.use or Knn(), self.work)

    def _opinions(self, session: Session, texts: Sequence[str]) -> Opinions:
        frame, answers, framed = self._frame, self._answers(), self._framed(session, texts)
        claims = frame.known()
        return {agent: answers.shares(frame.placed(rows), claims) for agent, rows in framed.items()}

    def _reduced(
        self, claims: list[Claim], held: dict[int, NDArray[np.float32]]
    ) -> tuple[list[Claim], dict[str, float]]:
        """Return the claims in fewer dimensions, if so configured, and what this changes."""
        if self.config.dimensions is None or not claims:
            return claims, {}
        points = points_of(claims, len(self.anchors))
        if self.state.reduced is None:
            self._apply([fitted(points, self._frame.name, self.config.dimensions)])
        reduction = self._frame.reduction
        assert reduction is not None  # fitted by now
        asked = np.concatenate([held[agent] for agent in sorted(held)]) if held else points
        after, loss = reduced(claims, reduction, asked, self._answers())
        return after, {"dimensions": self._frame.width, "reduction_loss": loss}

    def _harmful(
        self, held: dict[int, NDArray[np.float32]], labels: Sequence[str], use: Knn
    ) -> list[Moved]:
        rows = self._frame.placed(np.concatenate([held[agent] for agent in sorted(held)]))
        truth = np.tile([self.names.index(label) for label in labels], len(held))
        exemplars = [claim for claim in self._frame.known() if claim.kind == "exemplar"]
        self.work.compared(len(rows), len(exemplars), self._frame.width)
        return harmful(exemplars, self.names, rows, truth.astype(np.int64), use.k)

    def _discover(
        self,
        session: Session,
        network: Network,
        texts: EpisodeTexts,
        episode: int,
        novelty: ConformalKnn | None,
        ledger: Ledger,
    ) -> Sequence[Added]:
        """Add a candidate class for each cluster of texts that are novel to two agents or more."""
        claims = self._frame.known()
        alike = likeness(claims)
        if novelty is None or alike is None:
            return ()
        self._apply(named(self.state, claims, alike.to_mean))
        least, anchors = self.config.cluster, self.anchors
        discovery = Discovery(novelty, alike.between, least, anchors, self._frame, self.work)
        stated = discovery.stated(session, claims, texts, episode)
        told = deliver(stated, network, episode, self._frame.width, ledger)
        found = {claim.digest: claim for claim in candidate_classes(told, alike.to_mean)}
        new = [claim for name, claim in found.items() if name not in self.state.claims]
        return self._apply([Added(claim=claim) for claim in new])

    def _thin(self) -> dict[str, float]:
        """Thin the claims; return by how many, and the share of their own answers that this changes."""
        changes = thinned(self.state, self.config.exemplars, self.config.prototypes)
        before = self._frame.known()
        self._apply(changes)
        after = self._frame.known()
        count = sum(len(change.parts) - 1 for change in changes)
        if not count:
            return {"thinned": 0, "thinning_loss": 0.0}
        asked = points_of(before, self._frame.width)
        loss = self._answers().changed((asked, before), (asked, after))
        return {"thinned": count, "thinning_loss": loss}


def padded(rows_NK: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return probabilities of more classes, which have none: heads have two at least."""
    missing = classes - rows_NK.shape[1]
    return np.pad(rows_NK, ((0, 0), (0, missing))) if missing > 0 else rows_NK
