"""Discovery: each agent looks among its texts without labels for clusters that are novel to the society."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentos.learning.knowledge.claim_exchange import (
    EpisodeTexts,
    FramedOwnTexts,
    FramedTexts,
    serialised,
)
from agentos.learning.knowledge.claim_work import ClaimWork
from agentos.learning.knowledge.novelty import ConformalKnn
from agentos.learning.knowledge.reduction import ClaimFrame
from agentos.runtime import Session
from agents.knowledge.candidate_classes import novel_claims
from agents.knowledge.claims import Claim
from agents.knowledge.extract import origin_of
from agents.knowledge.nearest_claims import points_of


@dataclass(frozen=True)
class Discovery:
    """Settings of the search for novel clusters.

    Attributes:
        novelty: tells novel texts from the claims that are known, and from held-out texts.
        alike: least cosine of texts of one cluster.
        least: texts of a cluster, at least.
        anchors: public texts that span the common frame.
        frame: the frame in which claims stand.
        work: where embedding and comparing are counted.
    """

    novelty: ConformalKnn
    alike: float
    least: int
    anchors: Sequence[str]
    frame: ClaimFrame
    work: ClaimWork

    def stated(
        self, session: Session, known: Sequence[Claim], texts: EpisodeTexts, episode: int
    ) -> dict[int, bytes]:
        """Return the message of each agent that found clusters, serialised.

        None is stated where too little is known to tell what is novel.
        """
        if not self.novelty.can_fit(len(known), len(texts.held.texts)):
            return {}
        held = self.work.embedded(session.ask_all(FramedTexts(texts.held.texts, self.anchors)))
        own = self.work.embedded(session.ask_all(FramedOwnTexts(texts.unlabelled, self.anchors)))
        stated = {}
        for agent, whole in sorted(own.items()):
            rows, calibration = self.frame.placed(whole), self.frame.placed(held[agent])
            points = points_of(known, rows.shape[1])
            self.work.compared(len(calibration) + len(rows), len(points), points.shape[1])
            new = np.flatnonzero(self.novelty.fit(points, calibration).novel(rows))
            origins = [origin_of(texts.unlabelled[agent][int(row)]) for row in new]
            name = f"agent-{agent}"
            seen = novel_claims(
                rows[new], origins, self.frame.name, name, episode, self.alike, self.least
            )
            if seen:
                stated[agent] = serialised(seen, agent, episode)
        return stated
