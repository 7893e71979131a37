"""Hosts as Ray actors, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.runtime import direct
from agentos.runtime.base import Runtime, Session, pack
from agentos.runtime.failures import of_ray
from agentos.runtime.ray_store import RayStore
from agentos.runtime.scratch import Scratch
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
    transport: Literal["object_store", "direct"] = Field(
        "object_store",
        description="How messages pass between hosts; direct: from memory to memory by gloo, or by NCCL "
        "between GPUs (Ray Direct Transport, alpha).",
    )

    @model_validator(mode="after")
    def _one_way_to_count(self) -> Self:
        if self.hosts != "auto" and self.agents_per_host is not None:
            raise ValueError("give either hosts or agents_per_host, not both")
        return self

    @contextmanager
    def ahead(self, address: str | None = None) -> Iterator[Callable[[], str | None]]:
        """Start or join Ray while its first user is busy elsewhere; see `Runtime.ahead`."""
        import ray  # not in the thread: imports of two threads stand in each other's way

        if ray.is_initialized():
            yield lambda: address
            return
        if address is not None:
            _require_listener(address)  # here too: nobody should wait for a corpus to learn of it
        _end_in_order()
        with ThreadPoolExecutor(1) as pool:
            connection = pool.submit(_connect, self, address)

            def wait() -> None:
                connection.result()

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
    def __init__(self, runtime: RayRuntime, connection: ExitStack) -> None:
        self._runtime = runtime
        self._connection = connection
        self._actors: dict[int, Any] = {}
        self._options: dict[str, Any] = {}
        self._parts: dict[int, tuple[Blueprint]] = {}
        self._hung: set[int] = set()
        is_direct = runtime.transport == "direct"
        self._submit = direct.submit if is_direct else _submit
        self._landed = direct.landed if is_direct else _landed
        self.placement: Mapping[int, int] = {}

    def create_hosts(self, agents: int) -> None:
        import ray

        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
        count = self._runtime.host_count(agents, cpus, gpus)
        # More hosts than cores take turns: threads that compete would slow all of them down.
        self._width = max(1, int(cpus) // self._runtime.threads)
        self._options = {"num_cpus": min(float(self._runtime.threads), cpus / count)}
        if gpus and self._runtime.device in ("auto", "cuda"):
            self._options["num_gpus"] = min(1.0, gpus / count)
        if len(ray.nodes()) > 1:  # type: ignore[no-untyped-call]
            # Ray fills a node before it turns to the next one, unless it is told not to.
            self._options["scheduling_strategy"] = "SPREAD"
        machines = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        self._hosts_per_machine = -(-count // machines)
        self._start(range(count), self._options)

    def _start(self, hosts: Iterable[int], options: Mapping[str, Any]) -> None:
        import ray

        from agents.host import Host

        if self._runtime.transport == "direct":
            self._actors.update(direct.create_hosts(hosts, options))
        else:
            actor_class = ray.remote(Host).options(**options)
            self._actors.update((host, actor_class.remote(RayStore())) for host in hosts)
        if options.get("num_gpus", 1.0) < 1.0:
            self.call("share_gpu", dict.fromkeys(hosts, (options["num_gpus"],)))

    def build(self, blueprint: Blueprint) -> None:
        packed = dict(enumerate(pack(blueprint, len(self._actors))))
        self.placement = {agent: host for host, ids in packed.items() for agent in ids}
        share = 1 / self._hosts_per_machine
        self._parts = {
            host: (blueprint.only(frozenset(ids), share),) for host, ids in packed.items()
        }
        self.call("build", self._parts)
        logger.info("%d agents on %d Ray hosts", len(self.placement), len(packed))

    def call(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        import ray

        waiting = list(arguments)
        running: dict[Any, tuple[int, float]] = {}
        answers: dict[int, Any] = {}
        while waiting or running:
            while waiting and len(running) < self._width:
                host = waiting.pop(0)
                reference = self._submit(self._actors[host], method, arguments[host])
                running[reference] = (host, time.monotonic() + self._runtime.timeout_s)
            first = min(deadline for _, deadline in running.values())
            done, _ = ray.wait(list(running), timeout=max(0.0, first - time.monotonic()))
            if not done:
                self._hung.update(host for host, _ in running.values())
                raise self._late(method, [host for host, _ in running.values()])
            for reference in done:
                host, _ = running.pop(reference)
                answers[host] = self._landed(
                    self._actors[host], self._answer(host, method, reference)
                )
        return {host: answers[host] for host in arguments}

    def kill(self, host: int) -> None:
        import ray

        ray.kill(self._actors[host])

    def revive(self) -> tuple[int, ...]:
        import ray

        lost = self._lost()
        # Hosts that hand messages to each other directly form one group, which nobody can join again.
        renewed = tuple(self._actors) if lost and self._runtime.transport == "direct" else lost
        for host in renewed:
            ray.kill(self._actors[host])  # one that hangs; one that is dead stays so
        # No core is asked for: the old one may not be free yet, and a cluster that lost a node may have none.
        # Ray places the host wherever there is room.
        self._start(renewed, {**self._options, "num_cpus": 0})
        self._hung.clear()
        self.call("build", {host: self._parts[host] for host in renewed if host in self._parts})
        return lost

    def _lost(self) -> tuple[int, ...]:
        """Return the hosts that died, and those that do not answer in time."""
        import ray

        asked = {
            actor.__ray_ready__.remote(): host
            for host, actor in self._actors.items()
            if host not in self._hung
        }
        answered, silent = ray.wait(
            list(asked), num_returns=len(asked), timeout=self._runtime.timeout_s
        )
        lost = {*self._hung, *(asked[reference] for reference in silent)}
        for reference in answered:
            try:
                ray.get(reference)
            except ray.exceptions.RayActorError:
                lost.add(asked[reference])
        return tuple(sorted(lost))

    def close(self) -> None:
        import ray

        actors, self._actors = self._actors, {}
        if ray.is_initialized():
            for actor in actors.values():
                ray.kill(actor)
        self._connection.close()

    def _answer(self, host: int, method: str, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference, timeout=self._runtime.timeout_s)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, AgentOSError):
                raise error.cause from None
            failure = of_ray(error.cause, host, method)
            if failure is None:
                raise
            raise failure from error
        except ray.exceptions.GetTimeoutError:
            raise self._late(method, [host]) from None
        except ray.exceptions.RayError as error:
            failure = of_ray(error, host, method)
            if failure is None:
                raise
            raise failure from error

    def _late(self, method: str, hosts: list[int]) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"hosts {hosts} did not finish '{method}' in time",
            expected=f"an answer within {self._runtime.timeout_s:g} s",
            mend="raise runtime.timeout_s, lower training.local_steps, use more hosts, or see that the "
            "cluster has free cores for them",
        )


def _submit(actor: Any, method: str, arguments: Sequence[Any]) -> Any:
    return getattr(actor, method).remote(*arguments)


def _landed(actor: Any, answer: Any) -> Any:
    return answer


def _connect(runtime: RayRuntime, address: str | None) -> ExitStack:
    """Connect to Ray; return what undoes it. Ray that was here before stays."""
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
        return ExitStack()
    with ExitStack() as undo:
        if address is not None:
            _require_listener(address)
            _init(address=address)
        else:
            own: dict[str, Any] = {"object_store_memory": runtime.object_store_mb * 2**20}
            if os.name == "posix":
                # Where Ray spills to of itself, the messages of a run that was killed would stay.
                folder = undo.enter_context(Scratch(runtime.spill_folder))
                own["object_spilling_directory"] = str(folder)
            _init(address="local", num_cpus=_cores(), include_dashboard=False, **own)
        undo.callback(ray.shutdown)
        return undo.pop_all()


def _end_in_order() -> None:
    """Let SIGTERM end this process as `sys.exit` does. Ray sees to it itself, in the main thread alone."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))


def _init(address: str, **options: Any) -> None:
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except ray.exceptions.AuthenticationError as error:
        raise RuntimeFailure(
            "Ray refused this process: it has not the cluster's token",
            actual=str(error).strip().split("\n")[0],
            mend="set RAY_AUTH_MODE=token (Ray sends no token to an address that is named, unless told to), "
            "and see that ~/.ray/auth_token, RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN holds the token of the "
            "cluster's head node",
        ) from error
    except Exception as error:  # a node that is not up after half a minute is no more than that
        told = str(error).strip().split("\n")[0]
        if address != "local":
            raise _unreachable("Ray could not be reached", told) from error
        raise RuntimeFailure(
            "Ray could not be started",
            actual=told,
            mend="see that this machine has free memory, free disk space and a core to spare, and try again; "
            "or set runtime.kind=local",
        ) from error


def _require_listener(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would go on trying for many minutes."""
    if address == "auto":
        address = _detected()
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


def _detected() -> str:
    """Return the address that Ray takes ``auto`` for: of the cluster started last, which may be gone."""
    from ray._private.services import canonicalize_bootstrap_address

    named = os.environ.get("RAY_ADDRESS", "auto")
    if "://" in named:
        return named
    try:
        return str(canonicalize_bootstrap_address("auto"))
    except (ConnectionError, ValueError) as error:
        raise _unreachable("Ray could not be reached", str(error)) from error


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
