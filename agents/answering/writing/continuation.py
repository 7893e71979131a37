"""Texts that several decoders write together, token by token.

Every step each agent sends its distribution of the next token, whole or its most probable part; the receiver
weighs them by a mixture, draws one token, and all agents read it.

Legend: J agents, L tokens that are named, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.answers import Labels, Rows
from agents.answering.writing.mixture import (
    MIXTURES,
    Mixture,
    Posterior,
    check_vocabularies,
    log_prior,
    mixed,
)
from protocols.messages import NextTokens
from protocols.seeding import generator
from protocols.spec import Kinds, Spec

LEAST = 1e-9
"""Probability that each token keeps, so that one sure mistake does not silence an agent for good."""


class Decoder(Protocol):
    """An agent that tells how probable each next token is; see `agents.models.next_token.NextToken`."""

    origin: str
    vocabulary: str

    @property
    def end_token(self) -> int | None:
        """The token that ends a text; None without one."""

    def begin(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Read a prefix afresh; return the distribution `[V]` of the next token."""

    def advance(self, token: int) -> NDArray[np.float64]:
        """Read one more token; return the distribution `[V]` of the one after it."""


class Continuation(Spec):
    """Settings of a continuation: the weights of agents, the choice of a token, and the length."""

    mixture: Annotated[Mixture, Kinds(MIXTURES)] = Field(
        Posterior(), description="How agents are weighed."
    )
    max_new_tokens: int = Field(40, ge=1, description="Most tokens that are added.")
    temperature: float = Field(
        1.0, ge=0.0, le=100.0, description="Divides the log-probabilities; 0 for the most probable."
    )
    sent: int | None = Field(
        None,
        ge=1,
        description="Most probable tokens that each agent sends; null for all. Fewer save bytes, but "
        "256 of 4,096 raised the perplexity of nano decoders by a fifth.",
    )


def write(
    decoders: Sequence[Decoder],
    prompt: NDArray[np.int64],
    continuation: Continuation,
    *,
    text: int = 0,
    seed: int = 0,
) -> Labels:
    """Return the tokens that are added to a prompt; the same for agents in any order.

    Args:
        decoders: J agents of one vocabulary.
        prompt: tokens of the prompt, special tokens included; at least one.
        continuation: how to write.
        text: number of the text; another number draws another text.
        seed: the run's seed.

    Raises:
        ConfigurationError: there is no agent, or vocabularies differ.
    """
    check_vocabularies([each.vocabulary for each in decoders])
    decoders = sorted(decoders, key=lambda each: each.origin)  # sums in one order
    prior_J = log_prior([each.origin for each in decoders])
    known_J = np.zeros(len(decoders))
    rng = generator(seed, "answering", "write", text)
    # The prompt is evidence too: what it says, agents knew more or less well.
    rows_JV = _sent([each.begin(prompt[:1]) for each in decoders], continuation.sent)
    for token in prompt[1:].tolist():
        known_J += np.log(rows_JV[:, token])
        rows = [each.advance(token) for each in decoders]
        rows_JV = _sent(rows, continuation.sent)
    written: list[int] = []
    while len(written) < continuation.max_new_tokens:
        row_V = mixed(rows_JV, continuation.mixture.log_weights(known_J, prior_J))
        token = drawn(row_V, continuation.temperature, rng)
        if token == decoders[0].end_token:
            break
        written.append(token)
        known_J += np.log(rows_JV[:, token])
        if len(written) < continuation.max_new_tokens:
            rows = [each.advance(token) for each in decoders]
            rows_JV = _sent(rows, continuation.sent)
    return np.array(written, dtype=np.int64)


def drawn(row_V: Rows, temperature: float, rng: np.random.Generator) -> int:
    """Draw a token; at temperature 0 the most probable one, the first of equals."""
    if temperature == 0:
        return int(row_V.argmax())
    logs_V = np.log(np.maximum(row_V, np.finfo(np.float64).tiny)) / temperature
    shares_V = np.exp(logs_V - logs_V.max())
    edges_V = np.cumsum(shares_V)
    return int(np.searchsorted(edges_V, rng.random() * edges_V[-1], side="right"))


def most_probable(row_V: NDArray[np.float64], count: int) -> tuple[NDArray[np.int32], Rows]:
    """Return the most probable tokens `[L]`, the first of equals first, and their probabilities."""
    order = np.argsort(-row_V, kind="stable")[:count]
    return order.astype(np.int32), row_V[order]


def named(
    rows_QV: NDArray[np.floating], count: int | None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the tokens `[Q, L]` that an agent names of its distributions, and their probabilities.

    Args:
        rows_QV: distributions of the next token of Q texts.
        count: L, the most probable tokens; None for all, in the order of the vocabulary.
    """
    size = rows_QV.shape[1]
    if count is None or count >= size:
        tokens_QL = np.tile(np.arange(size, dtype=np.int32), (len(rows_QV), 1))
        return tokens_QL, np.ascontiguousarray(rows_QV, dtype=np.float32)
    order_QL = np.argsort(-rows_QV, axis=1, kind="stable")[:, :count]
    kept = np.take_along_axis(rows_QV, order_QL, axis=1).astype(np.float32)
    return order_QL.astype(np.int32), kept


def widened(payload: NextTokens) -> Rows:
    """Return whole distributions `[Q, V]`: what the named tokens lack of 1 goes to the others evenly."""
    named = payload.probabilities.astype(np.float64)
    return _widened(payload.tokens.astype(np.int64), named, payload.size)


def _widened(tokens_QL: Labels, named_QL: Rows, size: int) -> Rows:
    others = size - tokens_QL.shape[1]
    rest_Q1 = np.maximum(1.0 - named_QL.sum(axis=1, keepdims=True), 0.0)
    rows_QV = np.repeat(rest_Q1 / max(others, 1), size, axis=1)
    np.put_along_axis(rows_QV, tokens_QL, named_QL, axis=1)
    rows_QV = np.maximum(rows_QV, LEAST)
    shares: Rows = rows_QV / rows_QV.sum(axis=1, keepdims=True)
    return shares


def _sent(rows: Sequence[NDArray[np.float64]], count: int | None) -> Rows:
    """Return the distributions as a receiver reads them: in float32, and cut to the most probable tokens."""
    found = []
    for row_V in rows:
        tokens, named = most_probable(row_V, min(count or len(row_V), len(row_V)))
        passed = named.astype(np.float32).astype(np.float64)
        found.append(_widened(tokens[None].astype(np.int64), passed[None], len(row_V))[0])
    return np.stack(found)
