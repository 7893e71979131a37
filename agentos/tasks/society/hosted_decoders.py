"""The decoders of a society on the hosts of a runtime, which read whole texts there.

Legend: J agents, T tokens of a text, V tokens of the vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentos.runtime import Session
from agentos.runtime.host_calls import HostCall
from agentos.tasks.library import ModelCard
from agents import hosting
from agents.answering.answers import Labels, Rows
from agents.lazy_torch import torch
from agents.models.next_token import NextToken
from protocols.errors import HostLost

_KEPT = 16
"""Decoders that a process keeps in memory."""


@dataclass(frozen=True)
class Expected:
    """Texts as one decoder expects them.

    Attributes:
        texts: of each text `[T - 1]`, log-probabilities of its tokens but the first; or `[T - 1, V]`, whole
            distributions.
        flops: FLOPs spent on all.
        seconds: of its host, that they took.
    """

    texts: tuple[NDArray[np.floating], ...]
    flops: float
    seconds: float


@dataclass(frozen=True)
class ExpectTexts(HostCall[dict[int, Expected]]):
    """Expect texts with decoders that the host loads from their folders."""

    phase = "evaluate"
    models: Mapping[int, tuple[str, str]]
    texts: tuple[Labels, ...]
    whole: bool
    threads: int

    def run(self, host: hosting.Host) -> dict[int, Expected]:
        """Return what each decoder expects."""
        torch.set_num_threads(self.threads)
        return {agent: self._of(loaded(*model)) for agent, model in self.models.items()}

    def _of(self, decoder: NextToken) -> Expected:
        before, began = decoder.flops, time.perf_counter()
        read = decoder.distributions if self.whole else decoder.token_log_probabilities
        rows = tuple(read(ids) for ids in self.texts)
        return Expected(rows, decoder.flops - before, time.perf_counter() - began)


class Decoders:
    """Decoders that expect whole texts on the hosts of a session.

    Args:
        session: the hosts.
        cards: the models, by agent.
        threads: threads of a host.
    """

    def __init__(self, session: Session, cards: Sequence[ModelCard], threads: int) -> None:
        self._session = session
        self._cards = cards
        self._threads = threads

    def log_probabilities(self, texts: Sequence[Labels]) -> tuple[list[Rows], list[Expected]]:
        """Return log-probabilities `[J, T - 1]` of each text, and what each of all decoders spent.

        Raises:
            HostLost: a host was lost twice.
        """
        found = list(self._ask(range(len(self._cards)), texts, False).values())
        rows = [np.stack([each.texts[text] for each in found]) for text in range(len(texts))]
        return rows, found

    def distributions(self, agents: Sequence[int], texts: Sequence[Labels]) -> dict[int, Expected]:
        """Return the distributions that some agents expect; see `log_probabilities`."""
        return self._ask(agents, texts, True)

    def _ask(
        self, agents: Sequence[int], texts: Sequence[Labels], whole: bool
    ) -> dict[int, Expected]:
        by_host: dict[int, dict[int, tuple[str, str]]] = {}
        for agent in agents:
            model = self._cards[agent].path, self._cards[agent].origin
            by_host.setdefault(self._session.placement[agent], {})[agent] = model
        calls = {
            host: ExpectTexts(models, tuple(texts), whole, self._threads)
            for host, models in by_host.items()
        }
        try:
            return self._session.ask(calls)
        except HostLost:
            self._session.revive()
            return self._session.ask(calls)


@lru_cache(_KEPT)
def loaded(path: str, origin: str) -> NextToken:
    """Return a decoder that this process loads once."""
    return NextToken.load(Path(path), origin)
