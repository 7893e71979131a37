"""A classifier that never forgets: ridge regression on sums over all labelled texts so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.adapt import Head
from agents.answering.streaming_ridge import StreamingRidge
from agents.continual.base import Consolidation, Retention
from agents.objectives.base import LossOutput, ObjectiveState, Step

Sums = NDArray[np.float64]


@dataclass
class RidgeState(ObjectiveState):
    """Sums over the labelled texts so far; see `agents.answering.streaming_ridge.StreamingRidge`.

    Attributes:
        centre: `[D]`, mean of public texts at the end of the first episode; None before.
        gram: `[D + 1, D + 1]`; None before.
        sums: `[D + 1, K]`; None before.
        texts: number of texts.
    """

    centre: Sums | None = None
    gram: Sums | None = None
    sums: Sums | None = None
    texts: int = 0

    def regression(self) -> StreamingRidge | None:
        """Return the regression; None before the end of the first episode."""
        if self.centre is None or self.gram is None or self.sums is None:
            return None
        return StreamingRidge(self.centre, self.gram, self.sums, self.texts)


class Ridge(Retention):
    """Streaming ridge regression: a head beside the one that is trained, in closed form.

    At the end of an episode the embeddings of its labelled texts are added to sums, from which the head
    follows. It adds no loss. Sums of earlier episodes are of earlier encoders: the head is as good as the
    geometry of embeddings is kept, which is what `agents.exchange.anchors.anchor_recall` is for, and exact
    where the encoder is frozen.

    Source: McDonnell et al., RanPAC: Random Projections and Pre-trained Models for Continual Learning, 2023.
    """

    kind: Literal["ridge"] = "ridge"
    state_type: ClassVar[type[ObjectiveState]] = RidgeState
    classes: int = Field(2, ge=2, description="Labels of the data.")
    l2: float = Field(1.0, gt=0.0, le=1e6, description="Penalty of the squared weights.")

    def loss(self, step: Step) -> LossOutput:
        """Return 0."""
        return self.nothing(step)

    def consolidate(self, end: Consolidation) -> None:
        """Add the labelled texts of the episode."""
        state = RidgeState.narrow(end.state)
        known = state.regression()
        if known is None:
            known = StreamingRidge.begin(end.public_mean().astype(np.float64), self.classes)
        if len(end.learnt.texts):
            known = known.learn(end.embed(end.learnt.texts), end.learnt.classes)
        state.centre, state.gram, state.sums = known.centre, known.gram, known.sums
        state.texts = known.texts

    def head(self, state: ObjectiveState) -> Head | None:
        """Return the head that the sums give; None before the end of the first episode."""
        known = RidgeState.narrow(state).regression()
        return None if known is None or not known.texts else known.head(self.l2)
