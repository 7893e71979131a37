"""Runs of a sweep as tasks of Ray, one each, on a cluster whose nodes share the sweep's folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentos.runtime.ray.connection import connect, keep_handlers, require_short_path
from agentos.sweep.node_run import run_on_node
from agentos.sweep.rows import Row
from agentos.sweep.worker import INTERRUPTED, ROW, failure, write_row
from agentos.sweep.worker_process import Task
from protocols.errors import ConfigurationError

if TYPE_CHECKING:
    from ray import ObjectRef

_STORE_MB = 80
"""Object store of a Ray that is started here: tasks and rows are small."""


@contextmanager
def ray_tasks(address: str | None, cpus: float, gpus: float) -> Iterator[RayTasks]:
    """Join a cluster, or start a Ray on this machine; yield the launcher of tasks on it.

    Args:
        address: the cluster, ``auto`` for that of this machine; None to start one.
        cpus, gpus: resources of each run.

    Raises:
        ConfigurationError: no node of the cluster has the resources.
        RuntimeFailure: Ray cannot be reached or started.
    """
    if address is None:
        require_short_path()
    with connect(address, _STORE_MB, None):
        keep_handlers()
        yield RayTasks(cpus, gpus)


class RayTasks:
    """Launcher of runs as tasks of the Ray that this process is connected to.

    Args:
        cpus, gpus: resources that Ray reserves for each run.
        worker: command of a run, on its node; None for that of the node's own Python.

    Raises:
        ConfigurationError: no node has them.
    """

    def __init__(self, cpus: float, gpus: float, worker: Sequence[str] | None = None) -> None:
        import ray

        self._worker = worker
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        self.places = sum(_places(node, cpus, gpus) for node in nodes)
        if not self.places:
            raise ConfigurationError(
                "no node of the cluster can hold a run of the sweep",
                expected=f"{cpus:g} CPUs and {gpus:g} GPUs on a node",
                actual="; ".join(
                    f"{n.get('CPU', 0):g} CPUs, {n.get('GPU', 0):g} GPUs" for n in nodes
                ),
                hint="lower launcher.cpus, launcher.gpus or runtime.threads, or join a larger cluster",
            )

    def start(self, task: Task, log: Path) -> RayTask:
        """Submit a run; it begins once a node has room."""
        import ray

        name = f"sweep {log.stem}"
        submit = ray.remote(run_on_node).options(name=name, **self._options)
        reference = submit.remote(dict(task), str(log.absolute()), ROW, self._worker)
        return RayTask(reference, Path(task["folder"]))


class RayTask:
    """A run that was submitted. Its row is written here: a network file system may still hide the node's."""

    def __init__(self, reference: ObjectRef[tuple[int, Row | None]], folder: Path) -> None:
        self._reference, self._folder = reference, folder

    def exit_code(self) -> int | None:
        """Return the exit code of the run; None before it has ended."""
        import ray

        if not ray.wait([self._reference], timeout=0)[0]:
            return None
        try:
            code, row = ray.get(self._reference)
        except ray.exceptions.TaskCancelledError:
            return INTERRUPTED
        except ray.exceptions.RayTaskError as error:
            code, row = 1, failure(str(error.cause))
        except ray.exceptions.RayError as error:  # a node or its memory was lost
            code, row = 1, failure(f"its task was lost: {str(error).strip().splitlines()[0]}")
        if row is not None:
            write_row(self._folder, row)
        return code

    def interrupt(self) -> None:
        """Cancel the task, which interrupts the run; one that waits for room never begins."""
        import ray

        ray.cancel(self._reference)

    def end(self, timeout_s: float) -> None:
        """Wait for the task, and kill its process after the time."""
        import ray

        try:
            ended = bool(ray.wait([self._reference], timeout=timeout_s)[0])
        except KeyboardInterrupt:
            ended = False
        if not ended:
            ray.cancel(self._reference, force=True)


def _places(node: dict[str, float], cpus: float, gpus: float) -> int:
    """Return how many runs fit on a node at a time."""
    wanted = {"CPU": cpus, "GPU": gpus}
    return min(
        math.floor(node.get(kind, 0.0) / amount) for kind, amount in wanted.items() if amount > 0
    )
