"""A host of one or many agents. It only forwards: agents learn, strategies compose, the store carries."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from agents.exchange.base import Turn
from agents.exchange.inbox import KEPT_BYTES
from agents.hosting import agent_states, messaging
from agents.hosting.admission import Admission
from agents.hosting.agent_pool import AgentPool
from agents.hosting.delivery import Delivery, Outbox, PayloadStore, Sent
from agents.hosting.device import choose_device, share_gpu
from agents.hosting.host_evaluator import Examiner
from agents.hosting.local_steps import train_agents
from agents.hosting.message_file import read_messages, write_messages
from agents.hosting.messaging import Alterations
from agents.hosting.tracing import Traced, Tracer
from agents.models.cpu.malloc import keep_freed_memory
from agents.training.blueprint import Arm, Blueprint
from agents.training.precision import StepSize, pays_in_bfloat16
from agents.training.shared_model import SharedModel
from agents.training.stacked.stack_size import choose_stack
from protocols.wire.buffers import Packet, checksum
from protocols.wire.coding import is_coded
from protocols.wire.serialize import packet_of
from protocols.wire.sizes import uncoded_bytes

Answer = TypeVar("Answer")


class Host(Examiner):
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
        self._pool: AgentPool | None = None
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
        """Reserve a share of the GPU's memory; see `agents.hosting.device`."""
        return share_gpu(share)

    def machine(self) -> str:
        """Return the name of the machine that the host is on."""
        return socket.gethostname()

    def _span(self, phase: str, agent: int | None = None) -> AbstractContextManager[None]:
        return self._tracer.span(phase, agent) if self._tracer else nullcontext()

    @property
    def agents(self) -> AgentPool:
        """The agents, once they have begun."""
        assert self._pool is not None, "begin comes first"
        return self._pool

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
        self._pool = AgentPool(self.blueprint, self.residents, arm)

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
            composed = messaging.compose_all(
                self.agents, self.arm, part, turns, alterations or {}, self._span
            )
            for recipients, message, codec in composed:
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
        if self._pool is not None:
            self._pool.close()
            self._pool = None
