"""The encoders of a panel, on the hosts of a runtime.

Shapes: N texts, D embedding width.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.records.atomic_files import damaged, replacing
from agentos.runtime import Session
from agentos.runtime.host_calls import HostCall
from agentos.tasks.library import ModelCard
from agents import hosting
from agents.lazy_torch import torch
from protocols.errors import HostLost

_KEPT = 16
"""Encoders that a host keeps in memory."""


@dataclass(frozen=True)
class Encoded:
    """Texts as one encoder reads them.

    Attributes:
        rows: `[N, D]` float32.
        tokens: `[N]` int64, tokens that went through the encoder.
        seconds: of one core, that embedding them took.
    """

    rows: NDArray[np.float32]
    tokens: NDArray[np.int64]
    seconds: float


@dataclass(frozen=True)
class Reading:
    """Texts for one encoder."""

    path: str
    max_length: int
    texts: tuple[str, ...]
    device: str = "cpu"


@dataclass(frozen=True)
class EncodeTexts(HostCall[dict[int, Encoded]]):
    """Embed texts with encoders that the host loads from their folders."""

    phase = "evaluate"
    readings: Mapping[int, Reading]
    threads: int

    def run(self, host: hosting.Host) -> dict[int, Encoded]:
        """Return what each encoder read."""
        torch.set_num_threads(self.threads)
        return {agent: read_texts(reading) for agent, reading in self.readings.items()}


@dataclass(frozen=True)
class CountTokens(HostCall[dict[int, NDArray[np.int64]]]):
    """Count the tokens of texts, as encoders that the host loads from their folders read them."""

    phase = "evaluate"
    readings: Mapping[int, Reading]

    def run(self, host: hosting.Host) -> dict[int, NDArray[np.int64]]:
        """Return the tokens `[N]` that would go through each encoder."""
        return {agent: count_tokens(reading) for agent, reading in self.readings.items()}


class Encoders:
    """The encoders of some models, which embed texts on the hosts of a session.

    Args:
        session: the hosts.
        cards: the models, by agent.
        max_length: tokens of a text.
        threads: threads of a host.
        cache: folder in which embeddings are kept by the digests of weights and texts; None for none.
    """

    def __init__(
        self,
        session: Session,
        cards: Sequence[ModelCard],
        max_length: int,
        threads: int,
        cache: Path | None = None,
    ) -> None:
        self.session = session
        self.cards = cards
        self.max_length = max_length
        self._threads = threads
        self._cache = cache

    def embed(self, wanted: Mapping[int, Sequence[str]]) -> dict[int, Encoded]:
        """Embed texts, by agent; what a lost host had to do is done once more on a new one.

        Raises:
            HostLost: a host was lost again.
            ModelError: a model cannot be loaded.
            RecordError: a cached file is damaged.
        """
        found = {agent: self._cached(agent, texts) for agent, texts in wanted.items()}
        missing = {agent: tuple(wanted[agent]) for agent, known in found.items() if known is None}
        if missing:
            try:
                new = self._ask(missing)
            except HostLost:
                self.session.revive()
                new = self._ask(missing)
            for agent, encoded in new.items():
                self._keep(agent, wanted[agent], encoded)
            found |= new
        return {agent: known for agent, known in found.items() if known is not None}

    def count(self, agent: int, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens `[N]` that texts would put through an agent's encoder.

        Raises:
            HostLost: its host is lost.
        """
        reading = Reading(self.cards[agent].path, self.max_length, tuple(texts))
        return self.session.ask({self.session.placement[agent]: CountTokens({agent: reading})})[
            agent
        ]

    def _ask(self, wanted: Mapping[int, tuple[str, ...]]) -> dict[int, Encoded]:
        by_host: dict[int, dict[int, Reading]] = {}
        for agent, texts in wanted.items():
            host = self.session.placement[agent]
            reading = Reading(self.cards[agent].path, self.max_length, texts)
            by_host.setdefault(host, {})[agent] = reading
        return self.session.ask(
            {host: EncodeTexts(readings, self._threads) for host, readings in by_host.items()}
        )

    def _file(self, agent: int, texts: Sequence[str]) -> Path | None:
        if self._cache is None:
            return None
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.cards[agent].origin, str(self.max_length), *texts):
            digest.update(hashlib.blake2b(part.encode("utf-8", "surrogatepass")).digest())
        return self._cache / f"{digest.hexdigest()}.safetensors"

    def _cached(self, agent: int, texts: Sequence[str]) -> Encoded | None:
        from safetensors.numpy import load_file

        path = self._file(agent, texts)
        if path is None or not path.is_file():
            return None
        try:
            arrays = load_file(path)
            rows, tokens, seconds = arrays["rows"], arrays["tokens"], arrays["seconds"]
        except Exception as error:  # safetensors raises plain `Exception`
            raise damaged(path, "embeddings of texts", str(error)) from error
        if len(rows) != len(texts) or tokens.shape != (len(texts),):
            raise damaged(path, f"embeddings of {len(texts)} texts", f"{len(rows)} rows")
        return Encoded(rows, tokens, float(seconds[0]))

    def _keep(self, agent: int, texts: Sequence[str], encoded: Encoded) -> None:
        from safetensors.numpy import save_file

        path = self._file(agent, texts)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            "rows": np.ascontiguousarray(encoded.rows),
            "tokens": encoded.tokens,
            "seconds": np.array([encoded.seconds]),
        }
        with replacing(path) as draft:
            save_file(arrays, draft)


def read_texts(reading: Reading) -> Encoded:
    """Embed texts with an encoder that this process loads once."""
    encoder = _loaded(reading.path, reading.max_length, reading.device)
    began = time.perf_counter()
    rows = encoder.embed(reading.texts)
    seconds = time.perf_counter() - began
    return Encoded(rows, encoder.token_counts(reading.texts), seconds)


def count_tokens(reading: Reading) -> NDArray[np.int64]:
    """Count the tokens `[N]` of texts as such an encoder reads them."""
    encoder = _loaded(reading.path, reading.max_length, reading.device)
    return encoder.token_counts(reading.texts)


@lru_cache(_KEPT)
def _loaded(path: str, max_length: int, device: str) -> LoadedEncoder:
    return LoadedEncoder.load(path, max_length=max_length).to(device)
