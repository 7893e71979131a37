"""The contract between the coordinator and the place where agents live."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from typing_extensions import Self

from agentos.runtime.host_calls import Answer, HostCall, Value
from agentos.runtime.memory import machine_bytes
from agents.training.blueprint import Blueprint
from protocols.errors import ConfigurationError
from protocols.spec import Spec


class Session(ABC):
    """Hosts that are up. A context manager; leaving it ends every process that it started."""

    placement: Mapping[int, int]
    """Host of each agent."""

    @abstractmethod
    def build(self, blueprint: Blueprint) -> None:
        """Place the agents of a blueprint on the running hosts, replacing any earlier agents."""

    @property
    def hosts(self) -> tuple[int, ...]:
        """The hosts, ascending."""
        return tuple(sorted(set(self.placement.values())))

    @abstractmethod
    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        """Run a call on each of several hosts, and wait for all of them.

        Args:
            calls: one per host, all of one class.

        Returns:
            Each host's answer, in the order of `calls`.

        Raises:
            DeadlineExceeded: a host has not answered within the runtime's `timeout_s`.
            HostLost: a host died, or a message that it held is gone.
            AgentOSError: an error that the call itself raised.
        """

    def revive(self) -> tuple[int, ...]:
        """Replace hosts that died or hang; return which.

        `agentos.rounds.recovery` calls this after a failure. The new hosts hold the same agents, untrained.
        Hosts that still work on an earlier call are waited for. By default hosts live as long as the caller,
        and there is nothing to do.

        Raises:
            HostLost: a new host died at once.
            DeadlineExceeded: a new host was not built within the runtime's `timeout_s`.
        """
        return ()

    def kill(self, host: int) -> None:
        """End a host without notice, as a crash would; its next call raises `HostLost`.

        Raises:
            ConfigurationError: the runtime cannot do that.
        """
        raise ConfigurationError(
            "this runtime cannot end a host on purpose",
            expected="a runtime with `kill`",
            actual=type(self).__name__,
            hint="leave out the faults of kind kill, or set runtime.kind to ray or local",
        )

    @abstractmethod
    def close(self) -> None:
        """End the session; calling it again does nothing."""

    def call_all(self, call: HostCall[Answer]) -> dict[int, Answer]:
        """Run the same call on every host."""
        return self.call(dict.fromkeys(self.hosts, call))

    def ask(self, calls: Mapping[int, HostCall[Mapping[int, Value]]]) -> dict[int, Value]:
        """Run a call on each of several hosts; return what it answers for each agent, agents ascending.

        The order of agents hides how they are packed onto hosts, on which no result may depend.
        """
        answers = self.call(calls)
        merged = {agent: value for answer in answers.values() for agent, value in answer.items()}
        return dict(sorted(merged.items()))

    def ask_all(self, call: HostCall[Mapping[int, Value]]) -> dict[int, Value]:
        """Run the same call on every host; see `ask`."""
        return self.ask(dict.fromkeys(self.hosts, call))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Runtime(Spec, ABC):
    """A way to host agents."""

    kind: str
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="Threads of a host; part of the arithmetic, so never automatic.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto takes a GPU if there is one; else cpu, mps, cuda or cuda:N.",
    )
    timeout_s: float = Field(
        600.0, gt=0.0, description="Longest wait for a host's answer in one phase of a round."
    )

    memory_mb: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="Agents' states that are kept in memory, over all hosts of a machine; those used least "
        "recently go to disk. auto: a third of the memory of the machine that starts the run.",
    )
    spill_folder: str | None = Field(
        None,
        description="Folder for what does not fit in memory: agents' states and, where Ray is started here, "
        "messages. Unset: the system's temporary one.",
    )

    stack: Literal["auto", "off"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        "auto",
        description="Agents of one architecture that a host trains together, at most, in batched products: "
        "faster for small encoders and batches, the same numbers up to rounding. auto: as many as pay, by "
        "the size of a step. A number is refused where agents cannot train together: loaded encoders, "
        "first-token pooling, objectives of several passes. off: one by one.",
    )

    @field_validator("stack", mode="before")
    @classmethod
    def _off_in_yaml(cls, value: Any) -> Any:
        if value is True:
            raise ValueError("say auto, off, or how many agents")
        return "off" if value is False else value  # YAML reads a bare off as false

    @property
    def state_bytes(self) -> int:
        """Bytes of agents' states to keep in a machine's memory."""
        return machine_bytes() // 3 if self.memory_mb == "auto" else self.memory_mb * 2**20

    def ahead(self, address: str | None = None) -> AbstractContextManager[Callable[[], str | None]]:
        """Begin slow work that needs no blueprint in the background; leaving the context undoes it.

        By default there is nothing to begin.

        Args:
            address: address of a cluster to join, for the runtimes that can.

        Returns:
            A function that waits until it is done, and returns the address to `start` with.
        """
        return nullcontext(lambda: address)

    def open(self, agents: int, address: str | None = None) -> Session:
        """Return a session of hosts that are up, on which a number of agents is placed but not built.

        Args:
            agents: how many agents the hosts are for.
            address: the cluster to join; None to stay on this machine.

        Raises:
            ConfigurationError: the runtime has no such hosts.
            RuntimeFailure: hosts cannot be started.
        """
        raise ConfigurationError(
            f"the runtime {self.kind!r} hosts training agents only",
            expected="a runtime with `open`",
            actual=type(self).__name__,
            hint="set runtime.kind to local or ray",
        )

    @abstractmethod
    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        """Bring up hosts that hold the agents of a blueprint.

        Args:
            blueprint: blueprint of all agents.
            address: address of a cluster to join, if the runtime can.

        Raises:
            ConfigurationError: the runtime does not support an option.
            RuntimeFailure: no host could be started.
        """


def pack(blueprint: Blueprint, hosts: int) -> tuple[tuple[int, ...], ...]:
    """Spread agents over hosts evenly, keeping agents of one group together.

    Args:
        blueprint: blueprint whose members are spread.
        hosts: number of hosts, at most the number of members.

    Returns:
        The agents' ids of each host, each host's ascending.
    """
    ordered: Sequence[int] = [
        member.id for member in sorted(blueprint.members, key=lambda m: (m.group, m.id))
    ]
    edges = [round(index * len(ordered) / hosts) for index in range(hosts + 1)]
    return tuple(tuple(sorted(ordered[start:end])) for start, end in itertools.pairwise(edges))
