"""Frame of a society's claims: that of its anchors, or fewer dimensions of it.

Legend: N points, A anchors, M dimensions that are kept.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentos.learning.knowledge.claim_answers import ClaimAnswers
from agentos.learning.knowledge.claim_exchange import frame_of_anchors
from agentos.learning.knowledge.storage.changes import Reduced
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState
from agents.knowledge.claims import Claim
from agents.knowledge.frames import Points, frame_of, unit


class Reduction:
    """Projection of a frame onto the directions that keep most of the points of its first claims.

    The basis is fitted once, on the claims of the first episode, and stands in the log: all later claims and
    questions are projected onto it. Directions are not centred, so that cosines stay what they were, as far
    as the basis reaches.

    Source: Eckart and Young, The approximation of one matrix by another of lower rank, 1936.

    Args:
        reduced: the frame, and the basis as the log holds it.
    """

    def __init__(self, reduced: Reduced) -> None:
        data = base64.b64decode(reduced.basis, validate=True)
        self._basis_MA = np.frombuffer(data, "<f4").reshape(reduced.dimensions, -1)
        self._of = reduced.frame
        self.frame = frame_of("reduced", reduced.frame, data)

    def points(self, points_NA: Points) -> Points:
        """Return points in the reduced frame, `[N, M]`, rows of length 1."""
        projected = points_NA.astype(np.float64) @ self._basis_MA.T.astype(np.float64)
        return unit(projected.astype(np.float32))

    def claim(self, claim: Claim) -> Claim:
        """Return a claim of the whole frame in the reduced one; one of another frame as it is."""
        if claim.frame != self._of:
            return claim
        fields = {name: getattr(claim, name) for name in Claim.model_fields}
        point_M = self.points(claim.embedding[None])[0]
        return Claim(**{**fields, "embedding": point_M, "frame": self.frame})


def fitted(points_NA: Points, frame: str, dimensions: int) -> Reduced:
    """Return the basis of as many dimensions as are asked for, and as the points span."""
    _, sizes, basis_AA = np.linalg.svd(points_NA.astype(np.float64), full_matrices=False)
    kept = min(dimensions, int(np.count_nonzero(sizes > 1e-6 * sizes.max(initial=0.0))))
    basis_MA = basis_AA[: max(kept, 1)].astype("<f4")
    encoded = base64.b64encode(basis_MA.tobytes()).decode("ascii")
    return Reduced(frame=frame, dimensions=len(basis_MA), basis=encoded)


@dataclass(frozen=True)
class ClaimFrame:
    """The frame that claims stand in.

    Attributes:
        anchors: public texts that span the common frame.
        state: the claims.
    """

    anchors: Sequence[str]
    state: KnowledgeState

    @property
    def reduction(self) -> Reduction | None:
        """Return the projection onto fewer dimensions; None where claims have all."""
        return None if self.state.reduced is None else Reduction(self.state.reduced)

    @property
    def name(self) -> str:
        """Return the name of the frame."""
        reduction = self.reduction
        return frame_of_anchors(self.anchors) if reduction is None else reduction.frame

    @property
    def width(self) -> int:
        """Return its dimensions."""
        reduced = self.state.reduced
        return len(self.anchors) if reduced is None else reduced.dimensions

    def placed(self, points_NA: Points) -> Points:
        """Return points of the common frame in this one."""
        reduction = self.reduction
        return points_NA if reduction is None else reduction.points(points_NA)

    def known(self) -> list[Claim]:
        """Return the claims that answers draw on: accepted ones."""
        name = self.name
        accepted = self.state.with_status("accepted")
        return [claim for claim in accepted if claim.frame == name]


def reduced(
    claims: Sequence[Claim], reduction: Reduction, asked_NA: Points, answers: ClaimAnswers
) -> tuple[list[Claim], float]:
    """Return claims in fewer dimensions, and the share of answers about some points that this changes."""
    after = [reduction.claim(claim) for claim in claims]
    return after, answers.changed((asked_NA, claims), (reduction.points(asked_NA), after))
