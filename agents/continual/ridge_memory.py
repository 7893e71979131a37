"""A classifier that never forgets: ridge regression on sums over all labelled texts so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.answers import Rows
from agents.answering.streaming_ridge import StreamingRidge
from agents.continual.base import Consolidation, Retention
from agents.objectives.base import LossOutput, ObjectiveState, Step

_OPEN = 1e-9
"""Weight of the identity, relative to what public texts show: above rounding, below all that they tell."""


@dataclass
class RidgeState(ObjectiveState):
    """Sums over the labelled texts so far, and the way from the encoder's frame to theirs.

    Attributes:
        public: `[N, D]`, centred embeddings of public texts in the frame of the sums; None before the end of
            the first episode, as all that follows.
        centre: `[D]`, mean of public texts in the encoder's frame.
        turn: `[D, D]`, orthogonal, from the encoder's frame to that of the sums.
        gram: `[D + 1, D + 1]`, see `StreamingRidge`.
        sums: `[D + 1, K]`, see `StreamingRidge`.
        texts: number of texts.
    """

    public: Rows | None = None
    centre: Rows | None = None
    turn: Rows | None = None
    gram: Rows | None = None
    sums: Rows | None = None
    texts: int = 0

    def regression(self) -> StreamingRidge | None:
        """Return the regression; None before the end of the first episode."""
        if self.gram is None or self.sums is None:
            return None
        return StreamingRidge(np.zeros(len(self.gram) - 1), self.gram, self.sums, self.texts)

    def framed(self, embeddings_ND: NDArray[np.floating]) -> Rows:
        """Return embeddings in the frame of the sums, where public texts have mean 0."""
        assert self.centre is not None
        assert self.turn is not None
        return np.asarray((embeddings_ND.astype(np.float64) - self.centre) @ self.turn, np.float64)


class Ridge(Retention):
    """Streaming ridge regression: a second head in closed form, next to the trained one.

    At the end of an episode the embeddings of its labelled texts are added to sums, from which the head
    follows. It adds no loss. The encoder has changed meanwhile; what public texts show of that, a shift and a
    rotation, is undone first (orthogonal Procrustes). What remains is what the geometry of embeddings has
    changed; with a frozen encoder nothing remains.

    Sources: McDonnell et al., RanPAC: Random Projections and Pre-trained Models for Continual Learning, 2023,
    for the regression; Gomez-Villa et al., Exemplar-free Continual Representation Learning via Learnable
    Drift Compensation, 2024, for undoing what the encoder has drifted.
    """

    kind: Literal["ridge"] = "ridge"
    state_type: ClassVar[type[ObjectiveState]] = RidgeState
    classes: int = Field(2, ge=2, description="Labels of the data.")
    l2: float = Field(1.0, gt=0.0, le=1e6, description="Penalty of the squared weights.")
    aligned: bool = Field(
        True,
        description="Whether the shift and rotation that public texts show are undone; a control if not.",
    )

    def loss(self, step: Step) -> LossOutput:
        """Return 0."""
        return self.nothing(step)

    def consolidate(self, end: Consolidation) -> None:
        """Align the frame, and add the labelled texts of the episode."""
        state = RidgeState.narrow(end.state)
        public_ND = end.public().astype(np.float64)
        if state.public is None or self.aligned:
            centre: Rows = public_ND.mean(axis=0)
            state.centre, state.turn = centre, np.eye(len(centre))
            if state.public is not None:
                state.turn = rotation(public_ND - centre, state.public)
        state.public = state.framed(public_ND)
        known = state.regression()
        if known is None:
            known = StreamingRidge.begin(np.zeros(public_ND.shape[1]), self.classes)
        if len(end.learnt.texts):
            known = known.learn(state.framed(end.embed(end.learnt.texts)), end.learnt.classes)
        state.gram, state.sums, state.texts = known.gram, known.sums, known.texts

    def knows(self, state: ObjectiveState) -> bool:
        """Return whether there is a head: not before the end of the first episode."""
        return RidgeState.narrow(state).texts > 0

    def scores(self, state: ObjectiveState, embeddings_ND: NDArray[np.floating]) -> Rows:
        """Return the class scores `[N, K]` of embeddings by the head that the sums give."""
        kept = RidgeState.narrow(state)
        known = kept.regression()
        assert known is not None  # since `knows`
        return known.head(self.l2).scores(kept.framed(embeddings_ND))


def rotation(from_ND: Rows, to_ND: Rows) -> Rows:
    """Return the orthogonal `[D, D]` that takes rows nearest to others: orthogonal Procrustes.

    Fewer rows than dimensions leave directions open. There it is the one nearest to the identity, so that
    rows that have not moved are not turned.

    Source: Schönemann, A Generalized Solution of the Orthogonal Procrustes Problem, 1966.
    """
    product = from_ND.T @ to_ND
    nearest = _OPEN * np.linalg.norm(product) * np.eye(len(product))
    left, _, right = np.linalg.svd(product + nearest)
    return np.asarray(left @ right, dtype=np.float64)
