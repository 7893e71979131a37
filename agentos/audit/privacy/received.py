"""The message that an agent would send to its neighbours with its last parameters.

Legend: N anchors, F numbers about an anchor, M points, D embedding width, V views, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agentos.audit.privacy.membership import Received
from agentos.audit.run_agents import agents_of
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.exchange.base import Exchange, Turn
from agents.exchange.private.secure_sum import SecureSum
from agents.training.blueprint import Blueprint
from protocols.messages import (
    Embeddings,
    LabelVotes,
    Logits,
    Payload,
    PrivateEmbeddings,
    Prototypes,
    PseudoLabels,
    Rankings,
    SimilarityTargets,
    Statistics,
)
from protocols.topologies.hops import Direction
from protocols.wire.serialize import decode

if TYPE_CHECKING:
    from agents.training.agent import Agent

Values = NDArray[np.float32]
_LEAST = 1e-6
"""Probability below which logarithms are cut."""


def received_from(
    blueprint: Blueprint, exchange: Exchange, encoders: Mapping[int, LoadedEncoder]
) -> dict[int, Received]:
    """Return what a neighbour receives of each agent, coded and protected as it is sent.

    Left out are parameters, which are attacked as such, and messages of secure aggregation, which are
    uniformly random one by one.

    Args:
        blueprint: the agents of the run.
        exchange: composes the messages.
        encoders: the trained encoders, by agent.
    """
    found: dict[int, list[Payload]] = {}
    with agents_of(blueprint, exchange) as host:
        for id, agent in host.agents.each(host.agents.order()):
            if id in encoders:
                _load(agent, encoders[id])
        turn = Turn(round=blueprint.training.rounds, hop=0, direction=Direction.PEER)
        turns: dict[int, tuple[Turn, tuple[int, ...]]] = {
            id: (turn, ((id + 1) % len(blueprint.members),)) for id in encoders
        }
        for number, part in enumerate(exchange.parts):
            if _is_attacked(part):
                for buffer in host.compose(turns, number).handle:
                    message = decode(buffer)
                    found.setdefault(message.envelope.sender, []).append(message.payload)
    return {id: _joined(payloads) for id, payloads in found.items()}


def _is_attacked(part: Exchange) -> bool:
    shown = part.shows or frozenset()
    return bool(shown) and "parameters" not in shown and not isinstance(part, SecureSum)


def _load(agent: Agent, encoder: LoadedEncoder) -> None:
    """Give an agent the parameters of its saved encoder; heads that were not saved stay untrained."""
    saved = dict(encoder.encoder.named_parameters())
    for slot in agent.slots:
        if slot.name in saved:
            slot.view(agent.parameters).copy_(saved[slot.name].detach())


def _joined(payloads: list[Payload]) -> Received:
    anchors = [rows for each in payloads if (rows := about_anchors(each)) is not None]
    points = [rows for each in payloads if (rows := about_texts(each)) is not None]
    return Received(
        anchors=np.hstack(anchors) if anchors else None,
        points=np.vstack(points) if points else None,
    )


def about_anchors(payload: Payload) -> Values | None:
    """Return what a message says of each anchor `[N, F]`; None where it is not about anchors one by one."""
    if isinstance(payload, Embeddings):
        means: Values = payload.values.mean(axis=0)
        return means
    if isinstance(payload, Logits):
        return payload.values
    if isinstance(payload, SimilarityTargets):
        return _logs(payload.values)
    if isinstance(payload, PseudoLabels):
        return _logs(payload.probabilities)
    if isinstance(payload, LabelVotes):
        return _logs(payload.probabilities[0])
    if isinstance(payload, Rankings):
        ids, scores = payload.ids[0], payload.scores[0]
        dense = np.zeros((len(ids), len(ids)), np.float32)
        np.put_along_axis(dense, ids.astype(np.int64), scores, axis=1)
        return dense
    return None


def about_texts(payload: Payload) -> Values | None:
    """Return the points `[M, D]` of a message that lie among texts: embeddings or means of some."""
    if isinstance(payload, Prototypes):
        return payload.values[payload.counts > 0]
    if isinstance(payload, PrivateEmbeddings):
        return payload.values.reshape(-1, payload.values.shape[-1])
    return payload.means if isinstance(payload, Statistics) else None


def _logs(probabilities: Values) -> Values:
    logs: Values = np.log(np.maximum(probabilities, _LEAST))
    return logs
