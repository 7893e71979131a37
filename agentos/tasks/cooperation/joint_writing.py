"""Texts that decoders write together: at every step each agent sends what it expects, and is told the token.

The asker weighs what it received by a mixture, draws a token and tells the others. An agent whose message is
lost or refused, or that was not told a token, is not heard from then on: it counts as one that expects every
token alike, so a mixture that learns from the prefix soon does without it.

Legend: Q texts that are being written, J agents, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.cooperation.shard_search import ASKER
from agentos.tasks.cooperation.traffic import Traffic
from agents.answering.answers import Labels, Rows
from agents.answering.writing.continuation import named, widened
from protocols.messages import NextTokens, Verdict


class JointWriting:
    """The steps of decoders that write together.

    Args:
        talk: the traffic, about all texts.
        agents: numbers of the agents that live.
        origins: digest of the weights of each.
        vocabulary: digest of their common vocabulary.
        sent: most probable tokens that each agent sends; None for all.

    Attributes:
        silent: agents that are not heard any more.
    """

    def __init__(
        self,
        talk: Traffic,
        agents: Sequence[int],
        origins: Sequence[str],
        vocabulary: str,
        sent: int | None,
    ) -> None:
        self.silent: set[int] = set()
        self._talk = talk
        self._origins = dict(zip(agents, origins, strict=True))
        self._vocabulary = vocabulary
        self._sent = sent
        self._turn = 0  # numbers the steps of all texts, one after another
        self._told: dict[int, int] = {}
        """Bytes of the last token that each agent was told."""

    def expect(
        self, agent: int, rows_QV: NDArray[np.floating], ids: Labels, step: int, flops: float
    ) -> Rows:
        """Send an agent's distributions to the asker; return what it received, `[Q, V]`.

        Args:
            agent: the agent.
            rows_QV: the next token's distribution of each text.
            ids: `[Q]`, of the texts.
            step: tokens before it.
            flops: spent on all these rows.
        """
        talk, size = self._talk, rows_QV.shape[1]
        talk.flops[talk.rows(ids)] += flops / len(ids)
        if agent in self.silent:
            return np.full(rows_QV.shape, 1.0 / size)
        tokens, probabilities = named(rows_QV, self._sent)
        payload = NextTokens(
            task=talk.setting.task,
            attempt=0,
            origins=(self._origins[agent],),
            vocabulary=self._vocabulary,
            size=size,
            step=step,
            ids=ids,
            tokens=tokens,
            probabilities=probabilities,
            flops=flops,
            seconds=flops / talk.setting.timing.speeds.get(agent, np.inf),
        )
        name = f"step {self._turn} of {agent}"
        before = {f"token {self._turn - 1}": self._told.get(agent, 0)}
        talk.step(name, agent, flops, before)
        if agent == ASKER:
            return widened(payload)
        arrived, sent = talk.send(payload, agent, ASKER, ids)
        talk.step(f"arrival {self._turn} from {agent}", ASKER, 0.0, {name: sent})
        fits = arrived is not None and arrived.size == size and np.array_equal(arrived.ids, ids)
        if arrived is None or not fits:
            self.silent.add(agent)
            return np.full(rows_QV.shape, 1.0 / size)
        return widened(arrived)

    def decide(self, tokens: Labels, ids: Labels, size: int) -> None:
        """Tell every agent the token `[Q]` of each text, of a vocabulary of some size."""
        sources = [f"arrival {self._turn} from {agent}" for agent in self._origins]
        own = f"step {self._turn} of {ASKER}"
        self._talk.step(f"token {self._turn}", ASKER, 0.0, dict.fromkeys([*sources, own], 0))
        for agent in self._origins:
            self.tell(agent, tokens, ids, size)
        self._talk.begin_hop()
        self._turn += 1

    def tell(self, agent: int, tokens: Labels, ids: Labels, size: int) -> None:
        """Tell one agent the token `[Q]` of each text."""
        if agent == ASKER or agent in self.silent:
            return
        payload = Verdict(
            task=self._talk.setting.task,
            origins=tuple(sorted(set(self._origins.values()))),
            classes=size,
            ids=ids,
            decided=tokens.astype(np.int32),
            confidences=np.ones(len(ids), dtype=np.float32),
        )
        arrived, self._told[agent] = self._talk.send(payload, ASKER, agent, ids)
        if arrived is None:
            self.silent.add(agent)
