"""Hosts as Ray actors: creating, calling, losing and replacing them."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from agentos.runtime.base import Runtime, Session, pack
from agentos.runtime.host_calls import Answer, Build, HostCall, Settle, ShareGpu
from agentos.runtime.ray.failures import raised_on_host, translated
from agentos.runtime.ray.host_layout import Layout
from agentos.runtime.ray.liveness import Liveness, dead_processes, end_remains
from agentos.runtime.ray.object_store import RayStore
from agents import hosting
from agents.training.blueprint import Blueprint
from protocols.errors import AgentOSError, DeadlineExceeded

logger = logging.getLogger(__name__)


class RaySession(Session):
    """Hosts that are up, each an actor of Ray.

    Args:
        runtime: the runtime; its deadline holds for every call.
        layout: placement of the hosts.
        connection: the connection to Ray; closing it ends what was started here.
    """

    def __init__(self, runtime: Runtime, layout: Layout, connection: ExitStack) -> None:
        self._runtime = runtime
        self._layout = layout
        self._connection = connection
        self._actors: dict[int, Any] = {}
        self._parts: dict[int, Blueprint] = {}
        self._hung: set[int] = set()
        self._liveness = Liveness()
        self.placement: Mapping[int, int] = {}

    def create_hosts(self) -> None:
        """Create the hosts, without building any agents."""
        self._create(range(self._layout.hosts), self._layout.options)

    def _create(self, hosts: Iterable[int], options: Mapping[str, Any]) -> None:
        import ray

        layout = self._layout
        actor_class = ray.remote(HostActor).options(**options)
        self._actors.update(
            (host, actor_class.remote(layout.parcel_bytes, layout.kept_bytes)) for host in hosts
        )
        if layout.gpu_share is not None:
            self.call(dict.fromkeys(hosts, ShareGpu(layout.gpu_share)))

    def build(self, blueprint: Blueprint) -> None:
        """Place the agents of a blueprint on the hosts; see `Session.build`."""
        packed = dict(enumerate(pack(blueprint, len(self._actors))))
        self.placement = {agent: host for host, ids in packed.items() for agent in ids}
        share = 1 / self._layout.hosts_per_machine
        self._parts = {host: blueprint.only(frozenset(ids), share) for host, ids in packed.items()}
        self._build(self._parts)
        logger.info("%d agents on %d Ray hosts", len(self.placement), len(packed))

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        """Run calls on several hosts, as many at a time as there are cores for; see `Session.call`."""
        import ray

        title = next(iter(calls.values())).title() if calls else ""
        self._liveness.require_now_and_then(title)
        waiting = list(calls)
        running: dict[Any, tuple[int, float]] = {}
        answers: dict[int, Answer] = {}
        while waiting or running:
            while waiting and len(running) < self._layout.at_once:
                host = waiting.pop(0)
                reference = self._actors[host].run.remote(calls[host])
                running[reference] = (host, time.monotonic() + self._runtime.timeout_s)
            left = min(deadline for _, deadline in running.values()) - time.monotonic()
            pause = max(0.0, min(left, self._liveness.next_check_s))
            done, _ = ray.wait(list(running), timeout=pause)
            if not done:
                self._liveness.require(title)
                if pause < left:
                    continue
                self._hung.update(host for host, _ in running.values())
                late = [host for host, _ in running.values()]
                raise self._late(calls[late[0]].title(), late)
            for reference in done:
                host, _ = running.pop(reference)
                answers[host] = self._answer(host, calls[host].title(), reference)
        return {host: answers[host] for host in calls}

    def kill(self, host: int) -> None:
        """End a host's process; see `Session.kill`."""
        import ray

        ray.kill(self._actors[host])

    def revive(self) -> tuple[int, ...]:
        """Recreate lost hosts; called by `agentos.rounds.recovery`. See `Session.revive`."""
        import ray

        lost = self._lost()
        for host in lost:
            ray.kill(self._actors[host])  # for hosts that hang; a dead host stays dead
        # Without their own core: the old core may not be free yet, and a cluster that lost a node may
        # have none. Ray places the hosts where there is room.
        self._create(lost, {**self._layout.options, "num_cpus": 0})
        self._hung.clear()
        self._build({host: self._parts[host] for host in lost if host in self._parts})
        return lost

    def _build(self, parts: Mapping[int, Blueprint]) -> None:
        self.call({host: Build(part) for host, part in parts.items()})
        self.call(dict.fromkeys(parts, Settle()))

    def _lost(self) -> tuple[int, ...]:
        """Return the hosts that died, and the hosts that do not answer in time."""
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
        """End the hosts, and Ray if it was started here."""
        import ray

        actors, self._actors = self._actors, {}
        if dead_processes():
            end_remains()
        elif ray.is_initialized():
            for actor in actors.values():
                ray.kill(actor)
        self._connection.close()

    def _answer(self, host: int, title: str, reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference, timeout=self._runtime.timeout_s)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, AgentOSError):
                raise error.cause from None
            failure = translated(error.cause, host, title)
            if failure is None:
                failure = raised_on_host(error, host, title)
            if failure is None:
                raise
            raise failure from error
        except ray.exceptions.GetTimeoutError:
            raise self._late(title, [host]) from None
        except ray.exceptions.RayError as error:
            failure = translated(error, host, title)
            if failure is None:
                raise
            raise failure from error

    def _late(self, title: str, hosts: list[int]) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"hosts {hosts} did not finish '{title}' in time",
            expected=f"an answer within {self._runtime.timeout_s:g} s",
            hint="raise runtime.timeout_s, lower training.local_steps, use more hosts, or see that the "
            "cluster has free cores for them",
        )


class HostActor:
    """The actor around a host: its one method runs typed calls.

    Args:
        parcel_bytes: see `RayStore`.
        kept_bytes: see `Host`.
    """

    def __init__(self, parcel_bytes: int, kept_bytes: int) -> None:
        # As in the command line: a host imports torch here, and collecting garbage takes a fifth of that.
        gc.set_threshold(20_000)
        self._host = hosting.Host(RayStore(parcel_bytes), kept_bytes)

    def run(self, call: HostCall[Answer]) -> Answer:
        """Run a call on the host."""
        return call.run(self._host)
