r"""Headroom of cooperation: is the fused answer better than the best single agent's?

Let b be the texts that only the fused answer gets right, and c those that only the best single agent does.
The gain is \((b - c)/N\). Given that the two differ on \(b + c\) texts, b is binomial with \(\theta = 1/2\)
where there is no gain, so the lower bound is \((b + c)/N \cdot (2 \theta_L - 1)\), with Clopper and Pearson's
exact bound \(\theta_L\). It is above 0 exactly where the one-sided exact test of McNemar rejects.

The fused answer is compared with the single agent that is best on the same texts, which favours that agent: a
small gain may be missed, and none is invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binomtest

from protocols.errors import ConfigurationError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Headroom:
    """The gain of a fused answer over the best single agent.

    Args:
        best: the best single agent.
        single: its accuracy.
        fused: accuracy of the fused answer.
        lower: lower bound of the difference, of the given confidence.
        p_value: of McNemar's exact one-sided test.
    """

    best: int
    single: float
    fused: float
    lower: float
    p_value: float

    @property
    def one_is_enough(self) -> bool:
        """Whether no gain is shown."""
        return self.lower <= 0


def headroom(
    fused: NDArray[np.bool_], singles: NDArray[np.bool_], confidence: float = CONFIDENCE
) -> Headroom:
    """Compare a fused answer with the best of M agents, text by text.

    Args:
        fused: `[N]`, where the fused answer is right, out of fold.
        singles: `[M, N]`, where each agent is.
        confidence: of the lower bound, one-sided.

    Raises:
        ConfigurationError: there is no text or no agent, or their numbers differ.
    """
    if singles.ndim != 2 or not singles.size or singles.shape[1:] != fused.shape:
        raise ConfigurationError(
            "the answers of agents and of their fusion do not fit each other",
            expected=f"a row of {len(fused)} answers for each of at least one agent",
            actual=f"shape {list(singles.shape)}",
            hint="ask every agent about every text",
        )
    best = int(np.argmax(singles.mean(axis=1)))
    gained = int(np.sum(fused & ~singles[best]))
    lost = int(np.sum(~fused & singles[best]))
    differ = gained + lost
    # Without a gain the bound is -1: of texts that none differs on, nothing is known.
    theta = float(beta.ppf(1 - confidence, gained, lost + 1)) if gained else 0.0
    return Headroom(
        best=best,
        single=float(singles[best].mean()),
        fused=float(fused.mean()),
        lower=differ / len(fused) * (2 * theta - 1),
        p_value=float(binomtest(gained, differ, alternative="greater").pvalue) if differ else 1.0,
    )


def mean_fusion(
    probabilities: Sequence[NDArray[np.float64]], origins: Sequence[str]
) -> NDArray[np.float64]:
    """Return the mean of agents' probabilities `[N, C]`, in which every origin counts once.

    Args:
        probabilities: `[N, C]` of each agent.
        origins: origin of each agent's weights.
    """
    by_origin: dict[str, list[NDArray[np.float64]]] = {}
    for origin, found in zip(origins, probabilities, strict=True):
        by_origin.setdefault(origin, []).append(found)
    means = [np.mean(found, axis=0) for found in by_origin.values()]
    fused: NDArray[np.float64] = np.mean(means, axis=0)
    return fused
