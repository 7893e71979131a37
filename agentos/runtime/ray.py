"""Hosts as Ray actors, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.runtime.base import Runtime, Session, pack
from agentos.runtime.ray_store import RayStore
from protocols.errors import AgentOSError, ConfigurationError, DeadlineExceeded, RuntimeFailure

if TYPE_CHECKING:
    from agents.blueprint import Blueprint

logger = logging.getLogger(__name__)

_CONNECT_S = 10.0


class RayRuntime(Runtime):
    """Agents in Ray actors: one host per core or GPU, or as many as are asked for."""

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
        """Start or join Ray and create the hosts for so many agents, without building any."""
        session = _RaySession(self, _connect(self, address))
        try:
            session.create_hosts(agents)
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
        use_gpus = gpus >= 1 and self.device in ("auto", "cuda")
        places = int(gpus) if use_gpus else int(cpus) // self.threads
        return max(1, min(agents, places))


class _RaySession(Session):
    def __init__(self, runtime: RayRuntime, owns_ray: bool) -> None:
        self._runtime = runtime
        self._owns_ray = owns_ray
        self._actors: dict[int, Any] = {}
        self.placement: Mapping[int, int] = {}

    def create_hosts(self, agents: int) -> None:
        import ray

        from agents.host import Host

        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
        count = self._runtime.host_count(agents, cpus, gpus)
        # More hosts than cores take turns: threads that compete would slow all of them down.
        self._width = max(1, int(cpus) // self._runtime.threads)
        options: dict[str, Any] = {"num_cpus": min(float(self._runtime.threads), cpus / count)}
        if gpus and self._runtime.device in ("auto", "cuda"):
            options["num_gpus"] = min(1.0, gpus / count)
        machines = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        self._hosts_per_machine = -(-count // machines)
        actor_class = ray.remote(Host)
        self._actors = {
            host: actor_class.options(**options).remote(RayStore()) for host in range(count)
        }

    def build(self, blueprint: Blueprint) -> None:
        packed = dict(enumerate(pack(blueprint, len(self._actors))))
        self.placement = {agent: host for host, ids in packed.items() for agent in ids}
        share = 1 / self._hosts_per_machine
        parts = {host: (blueprint.only(frozenset(ids), share),) for host, ids in packed.items()}
        self.call("build", parts)
        logger.info("%d agents on %d Ray hosts", len(self.placement), len(packed))

    def call(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        import ray

        waiting = list(arguments)
        running: dict[Any, tuple[int, float]] = {}
        answers: dict[int, Any] = {}
        while waiting or running:
            while waiting and len(running) < self._width:
                host = waiting.pop(0)
                reference = getattr(self._actors[host], method).remote(*arguments[host])
                running[reference] = (host, time.monotonic() + self._runtime.timeout_s)
            first = min(deadline for _, deadline in running.values())
            done, _ = ray.wait(list(running), timeout=max(0.0, first - time.monotonic()))
            if not done:
                raise self._late(method, [host for host, _ in running.values()])
            for reference in done:
                host, _ = running.pop(reference)
                answers[host] = self._answer(host, method, reference)
        return {host: answers[host] for host in arguments}

    def close(self) -> None:
        import ray

        actors, self._actors = self._actors, {}
        if not ray.is_initialized():
            return
        for actor in actors.values():
            ray.kill(actor)
        if self._owns_ray:
            ray.shutdown()
        self._owns_ray = False

    def _answer(self, host: int, method: str, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference, timeout=self._runtime.timeout_s)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, AgentOSError):
                raise error.cause from None
            raise
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
            raise RuntimeFailure(
                f"host {host} died while it was to {method}",
                expected="an answer",
                actual=str(error).strip().split("\n")[0],
                mend="look for a lack of memory or a killed process, and run again",
            ) from error
        except ray.exceptions.GetTimeoutError:
            raise self._late(method, [host]) from None

    def _late(self, method: str, hosts: list[int]) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"hosts {hosts} did not finish '{method}' in time",
            expected=f"an answer within {self._runtime.timeout_s:g} s",
            mend="raise runtime.timeout_s, lower training.local_steps, use more hosts, or see that the "
            "cluster has free cores for them",
        )


def _connect(runtime: RayRuntime, address: str | None) -> bool:
    """Connect to Ray; return whether it was started here, and is to be ended here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        if address is not None:
            raise ConfigurationError(
                "this process is connected to Ray already",
                actual=address,
                mend="leave out the address, or call ray.shutdown() first",
            )
        return False
    if address is not None:
        _require_listener(address)
    local: dict[str, Any] = {
        "num_cpus": _cores(),
        "object_store_memory": runtime.object_store_mb * 2**20,
    }
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else local),
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        message = "Ray could not be started" if address is None else "Ray could not be reached"
        raise _unreachable(message, str(error).strip().split("\n")[0]) from error
    return True


def _require_listener(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would go on trying for many minutes."""
    found = re.fullmatch(r"(?:ray://)?([^/:]+):(\d{1,5})", address)
    if found is None:
        return
    import ray

    host, port = found[1], int(found[2])
    hosts = [host]
    if host in ("localhost", "127.0.0.1"):
        # Ray puts this node's address in its place, and may listen there alone.
        hosts.append(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    refusal: OSError | None = None
    for host in hosts:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
        except OSError as error:
            refusal = error
        else:
            return
    raise _unreachable("Ray could not be reached", f"{address}: {refusal}") from refusal


def _unreachable(message: str, actual: str) -> RuntimeFailure:
    return RuntimeFailure(
        message,
        actual=actual,
        mend="start a cluster with 'ray start --head', and pass its address to --address",
    )


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
