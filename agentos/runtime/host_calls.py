"""Typed calls of hosts: one frozen value for each, which travels to a host and runs there.

A session takes a call for each host and returns what `HostCall.run` returned there, with its type. A runtime
needs to know nothing else of hosts; a test or a script may define its own calls.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from agents import hosting
from agents.exchange.base import Turn
from agents.hosting.delivery import Delivery, Outbox
from agents.hosting.tracing import Traced
from agents.models.text_encoder import LabelScores
from agents.training.blueprint import Arm, Blueprint
from protocols.messages import Payload

Phase = Literal["start", "train", "compose", "merge", "evaluate", "save", "other"]

Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)
Value = TypeVar("Value")
Metrics = dict[int, dict[str, float]]
"""Metrics of each agent, by name."""


class HostCall(ABC, Generic[Answer_co]):
    """A request to one host.

    Attributes:
        phase: phase of a run that the call belongs to.
    """

    phase: ClassVar[Phase] = "other"

    @classmethod
    def title(cls) -> str:
        """Return the name of the call in errors and profiles.

        Example:
            >>> EmbedTexts.title()
            'embed texts'
        """
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()

    @abstractmethod
    def run(self, host: hosting.Host) -> Answer_co:
        """Execute the call on the host, in its process."""


@dataclass(frozen=True)
class Build(HostCall[None]):
    """Build the encoders of a blueprint's agents; see `Host.build`."""

    phase = "start"
    blueprint: Blueprint

    def run(self, host: hosting.Host) -> None:
        """Build them."""
        host.build(self.blueprint)


@dataclass(frozen=True)
class Settle(HostCall[None]):
    """Exempt a host's current objects from garbage collection; see `Host.settle`."""

    phase = "start"

    def run(self, host: hosting.Host) -> None:
        """Exempt them."""
        host.settle()


@dataclass(frozen=True)
class ShareGpu(HostCall[float]):
    """Limit a host to a share of its GPU's memory; see `Host.share_gpu`."""

    phase = "start"
    share: float

    def run(self, host: hosting.Host) -> float:
        """Return the share that was free to take."""
        return host.share_gpu(self.share)


@dataclass(frozen=True)
class NameMachine(HostCall[str]):
    """Name the machine that a host runs on."""

    def run(self, host: hosting.Host) -> str:
        """Return its network name."""
        return host.machine()


@dataclass(frozen=True)
class ChoosePrecision(HostCall[Literal["fp32", "bf16"]]):
    """Choose the precision that pays on a host; see `Host.choose_precision`."""

    phase = "start"

    def run(self, host: hosting.Host) -> Literal["fp32", "bf16"]:
        """Return the precision."""
        return host.choose_precision()


@dataclass(frozen=True)
class DescribeStacks(HostCall[dict[str, str]]):
    """Tell how agents will train, together or one by one; see `Host.describe_stacks`."""

    phase = "start"
    arm: Arm

    def run(self, host: hosting.Host) -> dict[str, str]:
        """Return it by encoder."""
        return host.describe_stacks(self.arm)


@dataclass(frozen=True)
class Begin(HostCall[None]):
    """Replace every agent by an untrained agent; see `Host.begin`."""

    phase = "start"
    arm: Arm

    def run(self, host: hosting.Host) -> None:
        """Begin."""
        host.begin(self.arm)


@dataclass(frozen=True)
class Train(HostCall[Metrics]):
    """Train all agents of a host except absent agents; see `Host.train`."""

    phase = "train"
    round: int
    absent: frozenset[int] = frozenset()

    def run(self, host: hosting.Host) -> Metrics:
        """Return each agent's training metrics."""
        return host.train(self.round, self.absent)


@dataclass(frozen=True)
class TrainRounds(HostCall[Metrics]):
    """Train some agents, whose rounds may differ; see `Host.train_rounds`."""

    phase = "train"
    rounds: dict[int, int]

    def run(self, host: hosting.Host) -> Metrics:
        """Return each agent's training metrics."""
        return host.train_rounds(self.rounds)


@dataclass(frozen=True)
class Compose(HostCall[Outbox]):
    """Compose the messages of a hop, with the alterations of faulty agents; see `Host.compose`."""

    phase = "compose"
    turns: dict[int, tuple[Turn, tuple[int, ...]]]
    part: int = 0
    alterations: Mapping[int, Sequence[Callable[[Payload], Payload]]] = field(default_factory=dict)

    def run(self, host: hosting.Host) -> Outbox:
        """Return their headings, their sizes and their handle."""
        return host.compose(self.turns, self.part, self.alterations)


@dataclass(frozen=True)
class Merge(HostCall[dict[int, list[str]]]):
    """Merge the messages of a hop; see `Host.merge`."""

    phase = "merge"
    handles: list[Any]
    deliveries: dict[int, Delivery]
    part: int = 0

    def run(self, host: hosting.Host) -> dict[int, list[str]]:
        """Return the reasons why each agent rejected messages."""
        return host.merge(self.handles, self.deliveries, self.part)


@dataclass(frozen=True)
class Evaluate(HostCall[Metrics]):
    """Evaluate agents on held-out text; None for all. See `Host.evaluate`."""

    phase = "evaluate"
    agents: Collection[int] | None = None

    def run(self, host: hosting.Host) -> Metrics:
        """Return each agent's metrics."""
        return host.evaluate(self.agents)


@dataclass(frozen=True)
class Probe(HostCall[dict[int, tuple[Value, "np.ndarray | None"]]], Generic[Value]):
    """Embed probe texts and measure the embeddings; see `Host.probe`."""

    phase = "evaluate"
    texts: Sequence[str]
    measure: Callable[[np.ndarray, int], Value]
    shown: Collection[int]
    agents: Collection[int] | None = None

    def run(self, host: hosting.Host) -> dict[int, tuple[Value, np.ndarray | None]]:
        """Return each agent's measurement, and the embeddings `[N, W]` of those in `shown`."""
        return host.probe(self.texts, self.measure, self.shown, self.agents)


@dataclass(frozen=True)
class EmbedTexts(HostCall[dict[int, np.ndarray]]):
    """Embed the same texts with several agents; see `Host.embed_texts`."""

    phase = "evaluate"
    texts: Sequence[str]
    agents: Sequence[int]

    def run(self, host: hosting.Host) -> dict[int, np.ndarray]:
        """Return each agent's embeddings `[N, W]`."""
        return host.embed_texts(self.texts, self.agents)


@dataclass(frozen=True)
class ClassifyTexts(HostCall[dict[int, "tuple[LabelScores | None, int]"]]):
    """Classify the same texts with several agents' own classifiers; see `Host.classify_texts`."""

    phase = "evaluate"
    texts: Sequence[str]
    agents: Sequence[int]

    def run(self, host: hosting.Host) -> dict[int, tuple[LabelScores | None, int]]:
        """Return each agent's class probabilities and tokens; None and 0 from one without a classifier."""
        return host.classify_texts(self.texts, self.agents)


@dataclass(frozen=True)
class Explain(HostCall[dict[int, dict[str, Any]]]):
    """Fetch what the last evaluation kept for charts; see `Host.explain`."""

    phase = "evaluate"
    agents: Sequence[int]

    def run(self, host: hosting.Host) -> dict[int, dict[str, Any]]:
        """Return it for each agent."""
        return host.explain(self.agents)


@dataclass(frozen=True)
class Consolidate(HostCall[None]):
    """Let every agent take in what an episode taught; see `Host.consolidate`."""

    phase = "train"
    episode: int

    def run(self, host: hosting.Host) -> None:
        """Let them."""
        host.consolidate(self.episode)


@dataclass(frozen=True)
class SaveEncoders(HostCall[None]):
    """Save encoders as Hugging Face folders; see `Host.save`."""

    phase = "save"
    folders: dict[int, Path]

    def run(self, host: hosting.Host) -> None:
        """Save them."""
        host.save(self.folders)


@dataclass(frozen=True)
class Snapshot(HostCall[dict[int, str]]):
    """Write every agent's state into a folder; see `Host.snapshot`."""

    phase = "save"
    folder: Path

    def run(self, host: hosting.Host) -> dict[int, str]:
        """Return the SHA-256 of each agent's file."""
        return host.snapshot(self.folder)


@dataclass(frozen=True)
class Restore(HostCall[None]):
    """Set every agent back to its state in a folder; see `Host.restore`."""

    phase = "save"
    folder: Path
    digests: dict[int, str]
    afresh: bool = False

    def run(self, host: hosting.Host) -> None:
        """Restore them."""
        host.restore(self.folder, self.digests, self.afresh)


@dataclass(frozen=True)
class SaveMessages(HostCall[tuple[str, list[int]]]):
    """Write messages in flight into a file; see `Host.save_messages`."""

    phase = "save"
    handles: list[Any]
    places: Sequence[tuple[int, int]]
    path: Path

    def run(self, host: hosting.Host) -> tuple[str, list[int]]:
        """Return the file's SHA-256 and the messages' sizes in bytes."""
        return host.save_messages(self.handles, self.places, self.path)


@dataclass(frozen=True)
class ReloadMessages(HostCall[Outbox]):
    """Put the messages in a file back in flight; see `Host.reload_messages`."""

    phase = "save"
    path: Path
    sha256: str
    sizes: Sequence[int]

    def run(self, host: hosting.Host) -> Outbox:
        """Return their places, in their order."""
        return host.reload_messages(self.path, self.sha256, self.sizes)


@dataclass(frozen=True)
class Trace(HostCall[Traced[Answer]], Generic[Answer]):
    """Run another call and record its spans of work; see `Host.traced`."""

    call: HostCall[Answer]

    def run(self, host: hosting.Host) -> Traced[Answer]:
        """Return the call's answer with its times."""
        return host.traced(self.call.run)
