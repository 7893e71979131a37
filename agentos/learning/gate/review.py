"""Review of one update: looks at more and more examples until the gate decides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentos.learning.gate.budget import ExamplePool, Ids
from agentos.learning.gate.decision import Evidence, Gate, Verdict

Ask = Callable[[Ids], Evidence]
"""Function from ids of examples to the answers of the accepted model and of the candidate."""


def review(gate: Gate, pool: ExamplePool, ask: Ask, episode: int) -> Verdict:
    """Decide on an update, taking examples from the pool as they are needed.

    Args:
        gate: the gate.
        pool: its examples; those that the decision uses are counted there.
        ask: answers examples with both models.
        episode: the episode in which the update was learnt.

    Returns:
        ``accept`` or ``refuse``: with no example left, or after the last look, what is open is refused.
    """
    taken: list[int] = []
    parts: list[Evidence] = []
    for look in range(1, gate.looks + 1):
        drawn = pool.draw(gate.batch, taken)
        taken.extend(drawn.tolist())
        if len(drawn):
            parts.append(ask(drawn))
        exhausted = len(drawn) == 0 or look == gate.looks
        verdict = gate.judge(_joined(parts), episode, last=exhausted)
        if verdict.outcome != "more":
            break
    return verdict


def _joined(parts: list[Evidence]) -> Evidence:
    if not parts:
        none, numbers = np.zeros(0, bool), np.zeros(0, np.int64)
        return Evidence(none, none, numbers, numbers)
    return Evidence(
        np.concatenate([part.before for part in parts]),
        np.concatenate([part.after for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.episodes for part in parts]),
        parts[0].names,
    )
