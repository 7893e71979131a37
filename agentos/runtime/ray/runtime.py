"""Hosts as Ray actors, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.runtime.base import Runtime, Session
from agentos.runtime.ray.connection import (
    connect,
    end_in_order,
    keep_handlers,
    require_listener,
    require_short_path,
)
from agentos.runtime.ray.host_layout import Cluster, lay_out
from agentos.runtime.ray.session import RaySession
from agents.training.blueprint import Blueprint


class RayRuntime(Runtime):
    """Agents in Ray actors: one host per core or GPU, or a given number."""

    kind: Literal["ray"] = "ray"
    hosts: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="Number of hosts; auto starts one per core (threads each) or per GPU."
    )
    agents_per_host: int | None = Field(
        None,
        ge=1,
        description="Agents of each host, instead of hosts; 1 gives every agent an actor.",
    )
    object_store_mb: int = Field(
        512, ge=80, description="Shared memory for messages, when Ray is started here."
    )

    @model_validator(mode="after")
    def _one_way_to_count(self) -> Self:
        if self.hosts != "auto" and self.agents_per_host is not None:
            raise ValueError("give either hosts or agents_per_host, not both")
        return self

    @contextmanager
    def ahead(self, address: str | None = None) -> Iterator[Callable[[], str | None]]:
        """Start or join Ray in the background; see `Runtime.ahead`."""
        import ray  # not in the thread: two threads that import at once block each other

        if ray.is_initialized():
            yield lambda: address
            return
        if address is not None:
            require_listener(
                address
            )  # also here, so that a wrong address is reported before the corpus is read
        else:
            require_short_path()
        end_in_order()
        with ThreadPoolExecutor(1) as pool:
            connection = pool.submit(connect, address, self.object_store_mb, self.spill_folder)

            def wait() -> None:
                connection.result()
                keep_handlers()

            try:
                yield wait
            finally:
                if connection.exception() is None:
                    connection.result().close()

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        """Start or join Ray and create the hosts; see `Runtime.start`."""
        session = self.open(len(blueprint.members), address)
        try:
            session.build(blueprint)
        except BaseException:
            session.close()
            raise
        return session

    def open(self, agents: int, address: str | None = None) -> Session:
        """Start or join Ray and create the hosts for a number of agents, without building agents."""
        connection = connect(address, self.object_store_mb, self.spill_folder)
        try:
            cluster = Cluster.connected()
            hosts = self.host_count(agents, cluster.cpus, cluster.gpus)
            layout = lay_out(hosts, cluster, self.threads, self._may_use_gpus)
        except BaseException:
            connection.close()
            raise
        session = RaySession(self, layout, connection)
        session.placement = {agent: agent % layout.hosts for agent in range(agents)}
        try:
            session.create_hosts()
        except BaseException:
            session.close()
            raise
        return session

    def host_count(self, agents: int, cpus: float, gpus: float) -> int:
        """Return how many hosts to start on a machine or cluster with these resources."""
        if self.agents_per_host is not None:
            return -(-agents // self.agents_per_host)
        if self.hosts != "auto":
            return min(agents, self.hosts)
        places = int(gpus) if gpus >= 1 and self._may_use_gpus else int(cpus) // self.threads
        return max(1, min(agents, places))

    @property
    def _may_use_gpus(self) -> bool:
        return self.device in ("auto", "cuda")
