"""A host of one or many agents. It only forwards: agents learn, strategies speak, the store carries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from agents import trainer
from agents.agent import Agent
from agents.blueprint import Arm, Blueprint
from agents.checkpoint import load_state, save_state, state_file
from agents.exchange.base import Turn
from agents.exchange.parts import taking_part
from agents.inbox import Fetch, receive
from agents.prefetch import Prefetcher
from agents.resident import Resident
from agents.roster import Roster
from protocols.codecs import Codec
from protocols.errors import RecordError
from protocols.messages import Envelope, Message, Payload
from protocols.sizes import uncoded_bytes
from protocols.wire import Expectation, encode

logger = logging.getLogger(__name__)


class PayloadStore(Protocol):
    """Carries encoded messages between hosts by reference."""

    def put(self, buffers: Iterable[np.ndarray]) -> Any:
        """Store the buffers of a host's messages as they come; return a handle that is cheap to pass on."""

    def get(self, handles: Sequence[Any]) -> list[Sequence[np.ndarray]]:
        """Return the buffers behind handles, copying nothing where that is possible.

        Where they are many, a buffer may be fetched when it is looked up; it stays valid while it is used.
        """


@dataclass(frozen=True)
class Outbox:
    """What the coordinator sees of a host's messages: envelopes and sizes, and where the bytes lie."""

    handle: Any
    envelopes: tuple[Envelope, ...]
    payload_bytes: tuple[int, ...]
    fp32_bytes: tuple[int, ...]
    """What the messages would have taken without a codec."""


@dataclass(frozen=True)
class Delivery:
    """What an agent is to merge.

    Attributes:
        turn: where in the round it is.
        senders: whom it may hear.
        messages: (outbox, index within it) of each message, outboxes numbered as in the call.
    """

    turn: Turn
    senders: frozenset[int]
    messages: tuple[tuple[int, int], ...]


class Host:
    """Builds agents from a blueprint and takes them through the phases of a round.

    Args:
        store: carries messages to and from other hosts.
    """

    def __init__(self, store: PayloadStore) -> None:
        self.store = store
        self.residents: dict[int, Resident] = {}
        self._roster: Roster | None = None
        self.explained: dict[int, dict[str, Any]] = {}

    @property
    def agents(self) -> Roster:
        """The agents, once they have begun."""
        assert self._roster is not None, "begin comes first"
        return self._roster

    def build(self, blueprint: Blueprint) -> None:
        """Build the encoders of a blueprint's agents, in place of any that were here before."""
        torch.set_num_threads(blueprint.threads)
        self.blueprint = blueprint
        self.device = choose_device(blueprint.device)
        used = sorted({member.group for member in blueprint.members})
        self.residents = {
            group: Resident(blueprint, blueprint.groups[group], self.device) for group in used
        }
        self.close()

    def begin(self, arm: Arm) -> None:
        """Start afresh: every agent untrained, under this arm's exchange."""
        self.arm = arm
        self.explained = {}
        self.close()
        self._roster = Roster(self.blueprint, self.residents, arm)

    def train(self, round: int) -> dict[int, dict[str, float]]:
        """Take every agent through its local steps; batches are prepared ahead, across agents too."""
        workers = self.blueprint.training.view_workers
        agents, order = self.agents, self.agents.order()
        jobs = (job for id in order for job in trainer.jobs(agents.resting(id), self.arm))
        told: dict[int, dict[str, float]] = {}
        with Prefetcher(jobs, workers) as batches:
            for id, agent in agents.each(order):
                told[id] = agent.train(self.arm, round, batches)
        return told

    def compose(self, turns: dict[int, tuple[Turn, tuple[int, ...]]], part: int = 0) -> Outbox:
        """Let agents speak under a part of the exchange: each to its recipients of the hop.

        What is said to several is encoded once.
        """
        envelopes: list[Envelope] = []
        sizes: list[int] = []
        fp32_bytes: list[int] = []

        def buffers() -> Iterator[np.ndarray]:
            for message, codec in self._messages(turns, part):
                buffer = encode(message, codec)
                envelopes.append(message.envelope)
                sizes.append(buffer.nbytes)
                fp32_bytes.append(uncoded_bytes(message))
                yield buffer

        handle = self.store.put(buffers())
        return Outbox(handle, tuple(envelopes), tuple(sizes), tuple(fp32_bytes))

    def merge(
        self, handles: list[Any], deliveries: dict[int, Delivery], part: int = 0
    ) -> dict[int, list[str]]:
        """Let agents take in what they received; return the reasons of what was rejected."""
        outboxes = self.store.get(handles)
        rejected: dict[int, list[str]] = {}
        for id, agent in self.agents.each(self.agents.order(deliveries)):
            messages = deliveries[id].messages
            fetches = [partial(_look_up, outboxes, *message) for message in messages]
            rejected[id] = self._merge(agent, deliveries[id], fetches, part)
        return rejected

    def evaluate(self, agents: Collection[int] | None = None) -> dict[int, dict[str, float]]:
        """Measure the encoders of some of the agents, by default of all, on held-out text."""
        chosen = self.agents.keys() if agents is None else self.agents.keys() & set(agents)
        examined: dict[int, tuple[dict[str, float], dict[str, Any]]] = {}
        alike: dict[Resident, int] = {}  # agents with the same initial weights are measured once
        order = self.agents.order(sorted(chosen))
        for id, agent in self.agents.each(order, self.agents.unchanged):
            resident = self.agents.resident_of_untouched(id)
            twin = alike.setdefault(resident, id) if resident else id
            examined[id] = examined[twin] if twin != id else self.blueprint.evaluate(agent)
        self.explained = {id: explained for id, (_, explained) in examined.items()}
        return {id: dict(metrics) for id, (metrics, _) in examined.items()}

    def embed_texts(self, texts: Sequence[str], agents: Sequence[int]) -> dict[int, np.ndarray]:
        """Let agents embed the same texts, `[N, W]` each."""
        return {id: self.agents.unchanged(id).embed(texts) for id in agents}

    def watch(
        self,
        texts: Sequence[str],
        read: Callable[[np.ndarray, int], Any],
        shown: Collection[int],
    ) -> dict[int, tuple[Any, np.ndarray | None]]:
        """Let all agents embed the same texts; return what `read` makes of that.

        Args:
            texts: to embed.
            read: from embeddings `[N, W]`, and the tokens that they took, to a small value.
            shown: agents whose embeddings are returned too.
        """
        answers: dict[int, tuple[Any, np.ndarray | None]] = {}
        for id, agent in self.agents.each(self.agents.order(), self.agents.unchanged):
            rows, tokens = agent.watch(texts)
            answers[id] = read(rows, tokens), rows if id in shown else None
        return answers

    def explain(self, agents: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return what the last evaluation has for pictures of these agents."""
        return {id: self.explained.get(id, {}) for id in agents}

    def save(self, directories: dict[int, Path]) -> None:
        """Save encoders as Hugging Face folders."""
        for id, directory in directories.items():
            self.agents.unchanged(id).save(directory)

    def snapshot(self, directory: Path) -> dict[int, str]:
        """Write every agent's state into a folder; return the SHA-256 of each file."""
        return {
            id: save_state(agent.state, directory / state_file(id))
            for id, agent in self.agents.each(self.agents.order(), self.agents.begun)
        }

    def restore(self, directory: Path, digests: dict[int, str], afresh: bool = False) -> None:
        """Take every agent back to a state in a folder; afresh, what it remembers of an exchange is lost.

        Raises:
            RecordError: a file is missing or damaged, or belongs to another encoder.
        """
        for id in self.agents:
            path = directory / state_file(id)
            state = load_state(path, self.device, digests.get(id))
            agent = self.agents[id]
            if len(state.parameters) != len(agent.parameters):
                raise RecordError(
                    f"the checkpoint {path} is of another encoder",
                    expected=f"{len(agent.parameters):,} trained parameters",
                    actual=f"{len(state.parameters):,}",
                    mend="keep agents and exchange heads as they were, or begin a new run",
                )
            agent.state = state
            if afresh:
                agent.begin_exchange()

    def close(self) -> None:
        """Give up the agents, and what they keep on disk."""
        if self._roster is not None:
            self._roster.close()
            self._roster = None

    def _messages(
        self, turns: dict[int, tuple[Turn, tuple[int, ...]]], part: int
    ) -> Iterator[tuple[Message, Codec]]:
        """Yield what agents say, and in what it is sent."""
        for id, agent in self.agents.each(self.agents.order(turns)):
            turn, recipients = turns[id]
            strategy, learner = taking_part(self.arm.exchange, part, agent)
            said = strategy.speak(learner, replace(turn, recipients=recipients))
            if said is None:
                continue
            letters: list[tuple[tuple[int, ...], Payload]]
            if isinstance(said, Mapping):
                letters = [((each,), payload) for each, payload in sorted(said.items())]
            else:
                letters = [(recipients, said)]
            for to, payload in letters:
                message = Message.compose(
                    payload,
                    sender=id,
                    recipients=to,
                    round=turn.round,
                    hop=turn.hop,
                    gradient=strategy.gradient(turn),
                )
                yield message, strategy.codec_of(type(payload))

    def _merge(
        self, agent: Agent, delivery: Delivery, fetches: Sequence[Fetch], part: int
    ) -> list[str]:
        turn = delivery.turn
        strategy, learner = taking_part(self.arm.exchange, part, agent)
        accepted = strategy.expects(learner, turn)
        expectation = Expectation(
            round=turn.round,
            hop=turn.hop,
            recipient=agent.id,
            senders=delivery.senders,
            payload=accepted.payload,
            shapes=accepted.shapes,
            layout=accepted.layout,
            codec=strategy.codec_of(accepted.payload),
        )
        inbox, rejected = receive(fetches, expectation)
        for error in rejected:
            logger.warning("agent-%d, round %d: %s", agent.id, turn.round, error)
        strategy.listen(learner, inbox, turn)
        return [error.reason for error in rejected]


def _look_up(outboxes: Sequence[Sequence[np.ndarray]], outbox: int, index: int) -> np.ndarray:
    return outboxes[outbox][index]


def choose_device(name: str) -> torch.device:
    """Return the device of a host: the one asked for, or the best there is."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
