"""One host in this process: serial, debuggable, and bit-identical to other runtimes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from agentos.runtime.base import Runtime, Session
from agentos.runtime.host_calls import Answer, Build, HostCall
from agentos.runtime.ray.failures import host_died
from agents import hosting
from agents.lazy_torch import torch
from agents.training.blueprint import Blueprint
from protocols.errors import ConfigurationError
from protocols.wire.buffers import Bytes, Packet


class LocalRuntime(Runtime):
    """All agents in this process, one after another: breakpoints and stack traces work."""

    kind: Literal["local"] = "local"

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        """Build the host; see `Runtime.start`. Its calls are not interrupted by the deadline."""
        session = self.open(len(blueprint.members), address)
        try:
            session.build(blueprint)
        except BaseException:
            session.close()
            raise
        return session

    def open(self, agents: int, address: str | None = None) -> Session:
        """Return the host without agents; see `Runtime.open`."""
        if address is not None:
            raise ConfigurationError(
                "the local runtime cannot join a cluster",
                actual=address,
                hint="set runtime.kind=ray, or leave out --address",
            )
        return _LocalSession(agents)


class _LocalSession(Session):
    def __init__(self, agents: int) -> None:
        self.placement = dict.fromkeys(range(agents), 0)
        self._threads = torch.get_num_threads()
        self._closed = False
        self._host: hosting.Host | None = hosting.Host(LocalStore())
        self._blueprint: Blueprint | None = None

    def build(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self.placement = {member.id: 0 for member in blueprint.members}
        self.call_all(Build(blueprint))

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        answers = {}
        for host, call in calls.items():
            if self._host is None:
                raise host_died(host, call.title(), "it was ended on purpose")
            answers[host] = call.run(self._host)
        return answers

    def kill(self, host: int) -> None:
        self._host = None

    def revive(self) -> tuple[int, ...]:
        if self._host is not None or self._blueprint is None:
            return ()
        self._host = hosting.Host(LocalStore())
        self.build(self._blueprint)
        return (0,)

    def close(self) -> None:
        if self._closed:
            return
        torch.set_num_threads(self._threads)
        if self._host is not None:
            self._host.close()
        self._host = self._blueprint = None
        self._closed = True


class LocalStore:
    """Messages of agents in one process; a handle is the list of messages itself."""

    def put(self, packets: Iterable[Packet]) -> Sequence[Bytes]:
        """Return copies: a message must not change when its sender continues training."""
        return [packet.joined() for packet in packets]

    def get(self, handles: Sequence[Any]) -> list[Sequence[Bytes | Packet]]:
        """Return the messages behind each handle."""
        return list(handles)
