"""Layout of the hosts of a run on the machines of a cluster: how many, how large, and how many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentos.runtime.ray.object_store import parcel_bytes
from agents.exchange.inbox import KEPT_BYTES


@dataclass(frozen=True)
class Cluster:
    """The resources of a cluster.

    Attributes:
        cpus, gpus: totals over all machines.
        store_bytes: size of the object store, over all machines.
        nodes: number of machines that belong to it; `machines`: number of machines that are up.
    """

    cpus: float
    gpus: float
    store_bytes: float
    nodes: int
    machines: int

    @classmethod
    def connected(cls) -> Cluster:
        """Return the cluster that this process is connected to."""
        import ray

        resources = ray.cluster_resources()
        nodes = ray.nodes()
        return cls(
            cpus=resources.get("CPU", 1.0),
            gpus=resources.get("GPU", 0.0),
            store_bytes=resources.get("object_store_memory", 0),
            nodes=len(nodes),
            machines=sum(node["Alive"] for node in nodes),
        )


@dataclass(frozen=True)
class Layout:
    """Hosts on a cluster.

    Attributes:
        hosts: number of hosts.
        at_once: number of hosts that work at the same time.
        hosts_per_machine: number of hosts on the machine with the most.
        parcel_bytes: size of an object of the store; see `RayStore`.
        kept_bytes: see `agents.hosting.host.Host`.
        options: options of each actor.
    """

    hosts: int
    at_once: int
    hosts_per_machine: int
    parcel_bytes: int
    kept_bytes: int
    options: Mapping[str, Any]

    @property
    def gpu_share(self) -> float | None:
        """Share of a GPU's memory for a host; None if it has a whole GPU, or no GPU."""
        share = self.options.get("num_gpus", 1.0)
        return share if share < 1.0 else None


def lay_out(hosts: int, cluster: Cluster, threads: int, uses_gpus: bool) -> Layout:
    """Lay out a number of hosts, with a number of threads each, on a cluster."""
    options: dict[str, Any] = {"num_cpus": min(float(threads), cluster.cpus / hosts)}
    if cluster.gpus and uses_gpus:
        options["num_gpus"] = min(1.0, cluster.gpus / hosts)
    if cluster.nodes > 1:
        # By default, Ray fills a node before it turns to the next.
        options["scheduling_strategy"] = "SPREAD"
    hosts_per_machine = -(-hosts // cluster.machines)
    share_bytes = int(cluster.store_bytes / cluster.machines / hosts_per_machine)
    return Layout(
        hosts=hosts,
        # If there are more hosts than cores, they take turns: competing threads would slow all of them down.
        at_once=max(1, int(cluster.cpus) // threads),
        hosts_per_machine=hosts_per_machine,
        parcel_bytes=parcel_bytes(share_bytes),
        # While they merge, the hosts of a machine may hold half of its store among them.
        kept_bytes=max(KEPT_BYTES, share_bytes // 2),
        options=options,
    )
