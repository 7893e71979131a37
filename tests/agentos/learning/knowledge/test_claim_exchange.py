"""Claims travel along the topology: counted per delivery, checked by receivers, under their author's name."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from agentos.learning.knowledge.claim_exchange import deliver, extracted
from agentos.learning.knowledge.config import KnowledgeConfig
from agents.knowledge.extract import Extracted, origin_of
from agents.knowledge.frames import frame_of
from agents.knowledge.sharing import message_of
from protocols.ledger import Ledger
from protocols.messages import Message
from protocols.seeding import generator
from protocols.topologies import TOPOLOGIES
from protocols.wire.serialize import encode

WIDTH = 6


def message(agent: int, episode: int = 2, width: int = WIDTH) -> bytes:
    points = generator(agent, "claims").standard_normal((8, width)).astype(np.float32)
    origins = [origin_of(f"{agent} {row}") for row in range(8)]
    known = Extracted(points, ["a", "b"] * 4, origins, frame_of("x"), f"agent-{agent}", episode)
    claims = extracted(known, KnowledgeConfig(per_label=2))
    sent = Message.compose(message_of(claims), sender=agent, round=episode, hop=0)
    return bytes(encode(sent))


@pytest.mark.parametrize("kind", ["ring", "complete", "master_slave", "layered"])
def test_claims_of_every_agent_arrive_under_its_name(kind: str) -> None:
    network = TOPOLOGIES[kind].model_validate({}).build(5, 0)
    stated, ledger = {agent: message(agent) for agent in range(5)}, Ledger()
    claims = deliver(stated, network, 2, WIDTH, ledger)
    assert [c.sources for c in claims] == sorted(c.sources for c in claims)
    assert {c.sources for c in claims} == {(f"agent-{agent}",) for agent in range(5)}
    edges = {(a, b) for hop in network.hops(2) for a, b in hop.edges}
    assert set(ledger.by_edge()) <= edges
    size = len(stated[0])
    if network.family == "peer":  # each edge carries the sender's own message
        assert ledger.by_edge() == {edge: len(stated[edge[0]]) for edge in edges}
    else:  # all reach the top, and those that an agent does not have come down to it
        assert ledger.total() >= 4 * size + 4 * 4 * size
    assert ledger.by_kind().keys() == {"claims"}


def test_lone_agent_needs_no_message() -> None:
    network, ledger = TOPOLOGIES["ring"].model_validate({}).build(1, 0), Ledger()
    assert deliver({0: message(0)}, network, 2, WIDTH, ledger)
    assert ledger.total() == 0


@pytest.mark.parametrize("bad", [message(1, episode=1), message(1, width=5), b"no message"])
def test_message_that_is_refused_leaves_out_its_claims_alone(
    bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    network = TOPOLOGIES["ring"].model_validate({}).build(3, 0)
    stated = {0: message(0), 1: bad, 2: message(2)}
    with caplog.at_level(logging.WARNING):
        claims = deliver(stated, network, 2, WIDTH, Ledger())
    assert {c.sources for c in claims} == {("agent-0",), ("agent-2",)}
    assert "refused" in caplog.text
