"""A host of one or many agents. It only forwards: agents learn, strategies compose, the store carries."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch

from agents.exchange.base import Turn
from agents.exchange.inbox import KEPT_BYTES
from agents.hosting import agent_states, messaging
from agents.hosting.admission import Admission
from agents.hosting.agent_pool import AgentPool
from agents.hosting.delivery import Delivery, Outbox, PayloadStore, Sent
from agents.hosting.local_steps import train_agents
from agents.hosting.message_file import read_messages, write_messages
from agents.hosting.messaging import Alterations, Composed
from agents.hosting.tracing import Traced, Tracer
from agents.models.cpu.malloc import keep_freed_memory
from agents.models.text_encoder import CachedEmbeddings, LabelScores, MappedEncoder
from agents.training.agent import Agent
from agents.training.blueprint import Arm, Blueprint
from agents.training.precision import StepSize, pays_in_bfloat16
from agents.training.shared_model import SharedModel
from agents.training.stacked.stack_size import choose_stack
from protocols.wire.buffers import Packet, checksum
from protocols.wire.coding import is_coded
from protocols.wire.serialize import packet_of
from protocols.wire.sizes import uncoded_bytes

Answer = TypeVar("Answer")
Value = TypeVar("Value")


class _Examined(NamedTuple):
    """An encoder with its embeddings of held-out text, its metrics, and its data for charts."""

    encoder: CachedEmbeddings
    metrics: dict[str, float]
    explained: dict[str, Any]


class Host:
    """Builds agents from a blueprint and takes them through the phases of a round.

    Args:
        store: carries messages to and from other hosts.
        kept_bytes: bytes of one agent's messages to keep in memory while it merges; see `Inbox`.
    """

    def __init__(self, store: PayloadStore, kept_bytes: int = KEPT_BYTES) -> None:
        self.store = store
        self._kept_bytes = kept_bytes
        self.residents: dict[int, SharedModel] = {}
        self.stack_sizes: dict[SharedModel, int] = {}
        self._roster: AgentPool | None = None
        self.explained: dict[int, dict[str, Any]] = {}
        self._tracer: Tracer | None = None

    def traced(self, work: Callable[[Host], Answer]) -> Traced[Answer]:
        """Let `work` use this host, and record its spans of work."""
        self._tracer, began = Tracer(), time.monotonic()
        try:
            answer = work(self)
            return Traced(answer, began, time.monotonic(), self._tracer.spans)
        finally:
            self._tracer = None

    def choose_precision(self) -> Literal["fp32", "bf16"]:
        """Return the precision that pays on this host; see `agents.training.precision`."""
        training = self.blueprint.training
        tokens = training.batch_size * training.max_length
        steps = [StepSize.of(resident.encoder, tokens) for resident in self.residents.values()]
        return "bf16" if pays_in_bfloat16(steps, self.device) else "fp32"

    def describe_stacks(self, arm: Arm) -> dict[str, str]:
        """Return by encoder how its agents will train, together or one by one, and why the latter."""
        found = {}
        for resident in self.residents.values():
            choice = choose_stack(resident, arm)
            one_by_one = f"one by one: {choice.reason}"
            stacked = f"in stacks of {choice.size}"
            found[resident.group.encoder.origin] = one_by_one if choice.size == 1 else stacked
        return found

    def share_gpu(self, share: float) -> float:
        """Reserve a share of the GPU's memory, at most what is free now; return the reserved share.

        Hosts that share a GPU would otherwise each take all they can, and the last would fail.
        """
        free_bytes, total_bytes = torch.cuda.mem_get_info()
        taken = min(share, free_bytes / total_bytes)
        torch.cuda.set_per_process_memory_fraction(taken)
        return taken

    def machine(self) -> str:
        """Return the name of the machine that the host is on."""
        return socket.gethostname()

    def _span(self, phase: str, agent: int | None = None) -> AbstractContextManager[None]:
        return self._tracer.span(phase, agent) if self._tracer else nullcontext()

    @property
    def agents(self) -> AgentPool:
        """The agents, once they have begun."""
        assert self._roster is not None, "begin comes first"
        return self._roster

    def build(self, blueprint: Blueprint) -> None:
        """Build the encoders of a blueprint's agents, replacing any earlier agents."""
        torch.set_num_threads(blueprint.threads)
        self.blueprint = blueprint
        self.device = choose_device(blueprint.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        used = sorted({member.group for member in blueprint.members})
        self.residents = {
            group: SharedModel(blueprint, blueprint.groups[group], self.device) for group in used
        }
        self.close()

    def settle(self) -> None:
        """Exempt current objects from garbage collection; for a host with its own process.

        Looking through imported modules and models took 0.4 s in the middle of a round.
        """
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def begin(self, arm: Arm) -> None:
        """Start afresh: every agent untrained, under this arm's exchange."""
        self.arm = arm
        self.explained = {}
        self.close()
        self.stack_sizes = {
            resident: choose_stack(resident, arm).size for resident in self.residents.values()
        }
        self._roster = AgentPool(self.blueprint, self.residents, arm)

    def train(
        self, round: int, absent: Collection[int] = frozenset()
    ) -> dict[int, dict[str, float]]:
        """Take every agent that is present through its local steps."""
        return self.train_rounds({id: round for id in self.agents if id not in absent})

    def train_rounds(self, rounds: dict[int, int]) -> dict[int, dict[str, float]]:
        """Take some agents through the local steps of a round; see `local_steps.train_agents`."""
        workers = self.blueprint.training.view_workers
        return train_agents(self.agents, self.arm, rounds, self.stack_sizes, workers, self._span)

    def compose(
        self,
        turns: dict[int, tuple[Turn, tuple[int, ...]]],
        part: int = 0,
        alterations: Mapping[int, Alterations] | None = None,
    ) -> Outbox:
        """Compose and store the messages of agents under a part of the exchange.

        A broadcast is one message, however many agents receive it.

        Args:
            turns: by sender, its place in the round and its recipients.
            part: number of the exchange's part.
            alterations: changes that faulty agents make to their payloads.
        """
        sent: list[Sent] = []
        checksums: list[int] = []

        def packets() -> Iterator[Packet]:
            for recipients, message, codec in self._composed(turns, part, alterations or {}):
                packet = packet_of(message, codec)
                coded = is_coded(codec, type(message.payload))
                fp32_bytes = uncoded_bytes(message) if coded else packet.nbytes
                sent.append((message.envelope, recipients, packet.nbytes, fp32_bytes))
                if self.arm.checksums:
                    checksums.append(checksum(packet))
                yield packet

        handle = self.store.put(packets())
        envelopes, recipients, sizes, fp32_sizes = zip(*sent, strict=True) if sent else [()] * 4
        return Outbox(handle, envelopes, recipients, sizes, fp32_sizes, tuple(checksums))

    def _composed(
        self,
        turns: dict[int, tuple[Turn, tuple[int, ...]]],
        part: int,
        alterations: Mapping[int, Alterations],
    ) -> Iterator[Composed]:
        """Yield the messages of agents, one agent after another."""
        addressed: dict[int, Turn] = {}  # by identity: equal turns arrived as one object
        for sender, agent in self.agents.each(self.agents.order(turns)):
            turn, recipients = shared = turns[sender]
            if id(shared) not in addressed:
                addressed[id(shared)] = replace(turn, recipients=recipients)
            own = alterations.get(sender, ())
            with self._span("compose", sender):
                composed = messaging.compose(agent, self.arm, part, addressed[id(shared)], own)
            yield from composed

    def merge(
        self, handles: list[Any], deliveries: dict[int, Delivery], part: int = 0
    ) -> dict[int, list[str]]:
        """Merge deliveries into agents; return the reasons of rejected messages."""
        with self._span("deliver"):
            outboxes = self.store.get(handles)
        admission = Admission(outboxes, deliveries.values(), self._kept_bytes)
        rejected: dict[int, list[str]] = {}
        for id, agent in self.agents.each(self.agents.order(deliveries)):
            with self._span("merge", id):
                rejected[id] = messaging.merge(agent, self.arm, part, deliveries[id], admission)
        return rejected

    def evaluate(self, agents: Collection[int] | None = None) -> dict[int, dict[str, float]]:
        """Measure the encoders of some of the agents, by default of all, on held-out text."""
        chosen = self.agents.keys() if agents is None else self.agents.keys() & set(agents)
        measured: dict[int, dict[str, float]] = {}
        alike: dict[SharedModel, _Examined] = {}  # agents with the same initial weights are alike
        order = self.agents.order(sorted(chosen))
        for id, agent in self.agents.each(order, self.agents.unchanged):
            resident = self.agents.resident_of_untouched(id)
            with self._span("evaluate", id):
                found = alike.get(resident) if resident else None
                found = found or self._examine(agent)
                if resident:
                    alike[resident] = found
                measured[id] = found.metrics | self._measure_mapped(agent, found.encoder)
            self.explained[id] = found.explained
        return measured

    def _examine(self, agent: Agent) -> _Examined:
        encoder = CachedEmbeddings(agent)
        return _Examined(encoder, *self.blueprint.evaluate(encoder))

    def _measure_mapped(self, agent: Agent, encoder: CachedEmbeddings) -> dict[str, float]:
        """Measure an encoder under the maps fitted on an agent's text, which no other agent shares."""
        fit = self.blueprint.fit_maps
        if fit is None or not fit.measured:
            return {}
        maps, metrics = agent.fitted_maps(), dict[str, float]()
        for name in fit.measured:
            metrics |= self.blueprint.evaluate(MappedEncoder(encoder, maps[name]), name)[0]
        return metrics

    def embed_texts(self, texts: Sequence[str], agents: Sequence[int]) -> dict[int, np.ndarray]:
        """Embed the same texts with several agents, `[N, W]` each."""
        return {id: self.agents.unchanged(id).embed(texts) for id in agents}

    def classify_texts(
        self, texts: Sequence[str], agents: Sequence[int]
    ) -> dict[int, tuple[LabelScores | None, int]]:
        """Classify the same texts with several agents' own classifiers; None and 0 from one without.

        Returns:
            By agent, its class probabilities and the tokens that it read.
        """
        return {id: self.agents.unchanged(id).vote(texts) for id in agents}

    def probe(
        self,
        texts: Sequence[str],
        measure: Callable[[np.ndarray, int], Value],
        shown: Collection[int],
        agents: Collection[int] | None = None,
    ) -> dict[int, tuple[Value, np.ndarray | None]]:
        """Embed the same texts with several agents; return the result of `measure`.

        Args:
            texts: texts to embed.
            measure: turns embeddings `[N, W]`, and the number of tokens they took, into a small value.
            shown: agents whose embeddings are returned too.
            agents: those that embed; None for all.
        """
        answers: dict[int, tuple[Value, np.ndarray | None]] = {}
        order = self.agents.order(agents)
        for id, agent in self.agents.each(order, self.agents.unchanged):
            rows, tokens = agent.watch(texts)
            answers[id] = measure(rows, tokens), rows if id in shown else None
        return answers

    def explain(self, agents: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the last evaluation's data for pictures of these agents."""
        return {id: self.explained.get(id, {}) for id in agents}

    def consolidate(self, episode: int) -> None:
        """Let every agent take in what an episode taught; see `Agent.consolidate`."""
        for _, agent in self.agents.each(self.agents.order()):
            agent.consolidate(episode)

    def save(self, directories: dict[int, Path]) -> None:
        """Save encoders as Hugging Face folders.

        Raises:
            RecordError: a folder cannot be written to.
        """
        for id, directory in directories.items():
            with agent_states.writing(directory):
                self.agents.unchanged(id).save(directory)

    def snapshot(self, directory: Path) -> dict[int, str]:
        """Write every agent's state into a folder; return the SHA-256 of each file.

        Raises:
            RecordError: the folder cannot be written to.
        """
        return agent_states.save_all(self.agents, directory)

    def restore(self, directory: Path, digests: dict[int, str], afresh: bool = False) -> None:
        """Restore every agent to a state in a folder; with `afresh`, its exchange state is dropped.

        Raises:
            RecordError: a file is missing or damaged, or belongs to another encoder.
        """
        agent_states.restore_all(self.agents, directory, digests, self.device, afresh)

    def save_messages(
        self, handles: list[Any], places: Sequence[tuple[int, int]], path: Path
    ) -> tuple[str, list[int]]:
        """Write in-flight messages into a file, end to end; return its SHA-256, and their sizes.

        Args:
            handles: handles of the outboxes that hold the messages.
            places: (outbox, index within it) of each.
            path: file to write.

        Raises:
            RecordError: the folder cannot be written to.
        """
        outboxes = self.store.get(handles)
        with agent_states.writing(path.parent):
            return write_messages((outboxes[box][index] for box, index in places), path)

    def reload_messages(self, path: Path, sha256: str, sizes: Sequence[int]) -> Outbox:
        """Store the messages of a file again, in their order.

        Raises:
            RecordError: the file is missing or damaged.
        """
        return Outbox(self.store.put(read_messages(path, sha256, sizes)), (), (), (), ())

    def close(self) -> None:
        """Release the agents, and their files on disk."""
        if self._roster is not None:
            self._roster.close()
            self._roster = None


def choose_device(name: str) -> torch.device:
    """Return the device of a host: the requested device, or the best available."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
