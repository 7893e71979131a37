"""Detection of collapsing agents by their embeddings of a few public anchors.

An agent whose embeddings of different texts have become alike has nothing to teach, and its messages pull
its neighbours after it. So its exchange is paused: its edges are left out of the hops until its embeddings
are fine again. The decisions here are pure functions; `agentos.rounds.health.monitor` probes the agents.

Shapes: N texts, D width of an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.geometry import rankme, uniformity
from agents.models.cpu.one_thread import one_thread
from protocols.spec import Spec
from protocols.topologies import Hop


class HealthConfig(Spec):
    """Detection of collapse: it needs public anchors, so it is off if there are none.

    The limits are far from the values of healthy encoders. On 64 docstrings, an untrained tiny encoder has a
    rank share of 0.30 and a uniformity of -0.17; with info_nce 0.78 and -2.9 after 180 steps; with masked_lm,
    which narrows its cone at first, 0.05 and -0.012 after 60. An encoder that maps all texts to one vector
    has 0 and 0.
    """

    every: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="Rounds from one check to the next; 0 for never. auto: as few as keep to share.",
    )
    share: float = Field(
        0.03,
        gt=0.0,
        le=1.0,
        description="Operations that checks may take, as a share of those of training: estimated from the "
        "configuration, never timed.",
    )
    texts: int = Field(64, ge=8, le=1024, description="Public anchors that are embedded, at most.")
    min_rank_share: float = Field(
        0.02,
        ge=0.0,
        lt=1.0,
        description="An agent has collapsed below this share of its directions; 0 if all texts are on "
        "one line, 1 if RankMe is the largest possible.",
    )
    max_uniformity: float = Field(
        -0.002,
        ge=-8.0,
        le=0.0,
        description="An agent has collapsed above this uniformity; 0 if all texts coincide.",
    )

    def interval(self, embedded_tokens: int, trained_tokens: int) -> int:
        """Return the rounds from one check to the next; 0 for never.

        A token that is trained on takes three times the operations of one that is embedded.

        Args:
            embedded_tokens: tokens that an agent embeds in a check.
            trained_tokens: tokens that it trains on in a round.

        Example:
            >>> HealthConfig().interval(embedded_tokens=4096, trained_tokens=200_000)
            1
            >>> HealthConfig().interval(embedded_tokens=4096, trained_tokens=2_000)
            23
        """
        if self.every == "auto":
            return math.ceil(embedded_tokens / (3 * trained_tokens * self.share))
        return self.every


@dataclass(frozen=True)
class Reading:
    """The spread of an agent's embeddings of the texts.

    Attributes:
        rank_share: ``(RankMe - 1) / (min(N, D) - 1)``, in [0, 1].
        uniformity: uniformity, in [-8, 0].
        tokens: number of tokens encoded for the measurement.
    """

    rank_share: float
    uniformity: float
    tokens: int = 0


@dataclass(frozen=True)
class Health:
    """The result of one health check.

    Attributes:
        readings: readings of every agent.
        cka: linear CKA of each pair of neighbours.
        paused: agents whose exchange is paused from now on, with the reasons.
        fallen: those among them that were fine at the last check.
        recovered: agents that exchange again.
    """

    readings: Mapping[int, Reading]
    cka: Mapping[tuple[int, int], float]
    paused: Mapping[int, str]
    fallen: tuple[int, ...] = ()
    recovered: tuple[int, ...] = ()


def read(rows_ND: NDArray[np.float32], tokens: int = 0) -> Reading:
    """Measure embeddings.

    Example:
        >>> read(np.eye(8, dtype=np.float32)).rank_share
        1.0
        >>> read(np.ones((8, 4), np.float32))
        Reading(rank_share=0.0, uniformity=0.0, tokens=0)
    """
    if not np.isfinite(rows_ND).all():
        return Reading(math.nan, math.nan, tokens)
    with one_thread():
        share = (rankme(rows_ND) - 1) / max(1, min(rows_ND.shape) - 1)
        # Rounded: equal rows would otherwise be 1e-7 apart, in either direction.
        found = round(max(share, 0.0), 6), round(min(uniformity(rows_ND), 0.0), 6) + 0.0
        return Reading(*found, tokens)


def collapse(reading: Reading, config: HealthConfig) -> str | None:
    """Return the reason to pause an agent's exchange, or None if it is fine.

    Example:
        >>> collapse(Reading(0.4, -2.0), HealthConfig()) is None
        True
        >>> collapse(Reading(0.01, -2.0), HealthConfig())
        'its rank share (by RankMe) is 0.01, and 0.02 is the least'
    """
    if not math.isfinite(reading.rank_share + reading.uniformity):
        return "its embeddings are not finite"
    if reading.rank_share < config.min_rank_share:
        share, least = reading.rank_share, config.min_rank_share
        return f"its rank share (by RankMe) is {share:.3g}, and {least:.3g} is the least"
    if reading.uniformity > config.max_uniformity:
        most = config.max_uniformity
        return f"its uniformity is {reading.uniformity:.3g}, and {most:.3g} is the most"
    return None


def judge(health: Health, before: Collection[int], config: HealthConfig) -> Health:
    """Decide which agents are paused, given those that were until now.

    Example:
        >>> found = Health({0: Reading(0.0, -2.0), 1: Reading(0.4, -2.0)}, {}, {})
        >>> judged = judge(found, before={1}, config=HealthConfig())
        >>> list(judged.paused), judged.fallen, judged.recovered
        ([0], (0,), (1,))
    """
    reasons = {agent: collapse(reading, config) for agent, reading in health.readings.items()}
    paused = {agent: reason for agent, reason in reasons.items() if reason is not None}
    return replace(
        health,
        paused=paused,
        fallen=tuple(sorted(paused.keys() - set(before))),
        recovered=tuple(sorted(set(before) - paused.keys())),
    )


def open_hops(hops: Iterable[Hop], paused: Collection[int]) -> tuple[Hop, ...]:
    """Leave the edges of paused agents out of hops, and hops out that have no other edge.

    Example:
        >>> from protocols.topologies import Direction
        >>> hop = Hop(index=0, direction=Direction.PEER, edges=((0, 1), (1, 0), (1, 2), (2, 1)))
        >>> open_hops([hop], paused=[0])[0].edges, open_hops([hop], paused=[1])
        (((1, 2), (2, 1)), ())
    """
    if not paused:
        return tuple(hops)
    kept = (
        replace(hop, edges=tuple(edge for edge in hop.edges if not {*edge} & {*paused}))
        for hop in hops
    )
    return tuple(hop for hop in kept if hop.edges)
