"""Labels by the votes of agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from agentos.learning.labelling.base import Labeller
from agents.answering import Answers
from agents.answering.answers import Rows
from agents.answering.fuse import distinct


class Committee(Labeller):
    """Mean probabilities of distinct origins: copies of one agent have one vote between them.

    An agent that abstains has no vote on the text.

    Source: Seung, Opper and Sompolinsky, Query by Committee, 1992, for agreement as a measure of certainty.
    """

    kind: Literal["committee"] = "committee"

    def opinion(self, answers: Sequence[Answers]) -> Rows:
        """Return the mean over origins; zeros where every agent abstains."""
        votes = distinct(answers).values()
        rows_SNK = np.stack([rows for rows, _ in votes])
        present_SN = np.stack([present for _, present in votes])
        total_N = present_SN.sum(axis=0)
        mean: Rows = np.einsum("snk,sn->nk", rows_SNK, present_SN.astype(np.float64))
        mean /= np.maximum(total_N, 1)[:, None]
        return mean
