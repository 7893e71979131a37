"""Claims on their way: agents state them on their hosts, and neighbours receive them over the topology."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentos.learning.knowledge.config import KnowledgeConfig
from agentos.runtime.host_calls import HostCall
from agents import hosting
from agents.knowledge.claims import Claim
from agents.knowledge.extract import Extracted, exemplars, origin_of, prototypes
from agents.knowledge.frames import Points, anchor_frame, frame_of
from agents.knowledge.sharing import claims_of, message_of
from agents.training.agent import Agent
from protocols.errors import RejectedMessage
from protocols.ledger import Ledger
from protocols.messages import Message
from protocols.messages.knowledge import Claims
from protocols.topologies import Network
from protocols.wire.serialize import encode
from protocols.wire.validate import Expectation, admit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledTexts:
    """Texts of one agent with their labels."""

    texts: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True)
class EpisodeTexts:
    """The texts of an episode that knowledge comes from.

    Attributes:
        known: labelled texts of each agent.
        unlabelled: texts of each agent that have no label.
        held: labelled texts, of all episodes so far, that neither training nor claims have seen.
    """

    known: Mapping[int, LabelledTexts]
    unlabelled: Mapping[int, Sequence[str]]
    held: LabelledTexts


@dataclass(frozen=True)
class StateClaims(HostCall[dict[int, tuple[bytes, int]]]):
    """Let agents state what they know of an episode, in the common frame of the anchors.

    Attributes:
        known: labelled texts of each agent.
        anchors: public texts that span the frame.
        episode: number of the episode.
        config: what is stated.
    """

    phase = "compose"
    known: Mapping[int, LabelledTexts]
    anchors: Sequence[str]
    episode: int
    config: KnowledgeConfig

    def run(self, host: hosting.Host) -> dict[int, tuple[bytes, int]]:
        """Return by agent that has labelled texts its message, serialised, and the tokens embedded."""
        stated = {}
        for id, agent in host.agents.each(host.agents.order(), host.agents.begun):
            own = self.known.get(id)
            if own is None or not own.texts:
                continue
            points, tokens = framed(agent, own.texts, self.anchors)
            claims = extracted(self._known(id, own, points), self.config)
            stated[id] = serialised(claims, id, self.episode), tokens
        return stated

    def _known(self, id: int, own: LabelledTexts, points: Points) -> Extracted:
        return Extracted(
            embeddings=points,
            labels=own.labels,
            origins=[origin_of(text) for text in own.texts],
            frame=frame_of_anchors(self.anchors),
            source=f"agent-{id}",
            episode=self.episode,
        )


@dataclass(frozen=True)
class FramedOwnTexts(HostCall[dict[int, tuple[Points, int]]]):
    """Place other texts for every agent in the common frame of the anchors, as that agent embeds them."""

    phase = "evaluate"
    texts: Mapping[int, Sequence[str]]
    anchors: Sequence[str]

    def run(self, host: hosting.Host) -> dict[int, tuple[Points, int]]:
        """Return by agent that has texts their points `[N, A]`, and the tokens embedded."""
        return {
            id: framed(agent, self.texts[id], self.anchors)
            for id, agent in host.agents.each(host.agents.order(), host.agents.begun)
            if self.texts.get(id)
        }


@dataclass(frozen=True)
class FramedTexts(HostCall[dict[int, tuple[Points, int]]]):
    """Place the same texts in the common frame of the anchors, as every agent embeds them."""

    phase = "evaluate"
    texts: Sequence[str]
    anchors: Sequence[str]

    def run(self, host: hosting.Host) -> dict[int, tuple[Points, int]]:
        """Return by agent the points `[N, A]`, and the tokens embedded."""
        return {
            id: framed(agent, self.texts, self.anchors)
            for id, agent in host.agents.each(host.agents.order(), host.agents.begun)
        }


def framed(agent: Agent, texts: Sequence[str], anchors: Sequence[str]) -> tuple[Points, int]:
    """Return points `[N, A]` of texts in the frame of anchors, and the tokens embedded for them."""
    (own, tokens), (public, more) = agent.watch(texts), agent.watch(anchors)
    return anchor_frame(own, public), tokens + more


def frame_of_anchors(anchors: Sequence[str]) -> str:
    """Return the name of the frame that public texts span."""
    return frame_of("anchors", *(origin_of(text) for text in anchors))


def extracted(known: Extracted, config: KnowledgeConfig) -> list[Claim]:
    """Return the claims of each kind that is asked for, once each."""
    makers = {
        "prototypes": lambda: prototypes(known),
        "exemplars": lambda: exemplars(known, config.per_label),
    }
    found = [claim for kind in config.extract for claim in makers[kind]()]
    return list({claim.digest: claim for claim in found}.values())


def serialised(claims: Sequence[Claim], agent: int, episode: int) -> bytes:
    """Return the message of an agent's claims as it travels."""
    return bytes(encode(Message.compose(message_of(claims), sender=agent, round=episode, hop=0)))


def deliver(
    stated: Mapping[int, bytes], network: Network, episode: int, anchors: int, ledger: Ledger
) -> list[Claim]:
    """Send messages of claims along the topology, and return the claims that receivers admitted.

    Peers send to their neighbours; in a tree, messages go up, and then down to all, unchanged, so that the
    source of a claim stays its author. Every delivery is counted. A lone agent's claims need no message; a
    message that is refused is logged, and its claims are left out.

    Args:
        stated: the serialised message of each agent.
        network: who may send to whom.
        episode: the round that messages are of.
        anchors: dimensions of the common frame.
        ledger: where deliveries are counted.
    """
    held = {agent: {agent} & stated.keys() for agent in range(network.agents)}
    admitted: dict[int, list[Claim]] = {}
    expected = Expectation(
        round=episode,
        hop=0,
        senders=frozenset(range(network.agents)),
        payload=Claims,
        shapes={"embeddings": (None, anchors)},
    )
    for hop in network.hops(episode):
        sent = {agent: set(authors) for agent, authors in held.items()}
        for sender, receiver in hop.edges:
            for author in sorted(sent[sender] - held[receiver]):
                ledger.record(
                    episode, hop.index, sender, receiver, Claims.kind, len(stated[author])
                )
                held[receiver].add(author)
                if author not in admitted:
                    admitted[author] = _read(stated[author], expected)
    if network.agents == 1:
        admitted = {author: _read(message, expected) for author, message in stated.items()}
    return [claim for author in sorted(admitted) for claim in admitted[author]]


def _read(message: bytes, expected: Expectation) -> list[Claim]:
    try:
        admitted = admit(message, expected)
    except RejectedMessage as error:
        logger.warning("episode %d: a message of claims is refused: %s", expected.round, error)
        return []
    payload = admitted.payload
    assert isinstance(payload, Claims)  # guaranteed by the expectation
    return claims_of(payload, f"agent-{admitted.envelope.sender}")
