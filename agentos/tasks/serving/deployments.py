"""The agents of a served society, each an application of Ray Serve with one deployment."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve
from ray.serve._private import replica

from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.society.encoders import Encoded, Reading, count_tokens, read_texts
from agentos.tasks.society.fitted_society import FittedSociety
from agents.lazy_torch import torch
from protocols.errors import RuntimeFailure

_AT_ONCE = 2
"""Readings that a process holds: one is read, the next is there when it ends."""
_OPENS = "add_port_to_grpc_server"
"""Function of Ray Serve by which a replica opens its server."""
_GRACE_S = 5.0
"""Seconds for which a process may finish what it reads when it is ended."""


class AgentReplica:
    """One process of an agent: its encoder.

    The head, which is a matrix of a few kilobytes, stays with the cooperation, where `Society.ask` has it.

    Args:
        path: folder of the model.
        max_length: tokens of a text.
        threads: threads of the process.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, path: str, max_length: int, threads: int, device: str) -> None:
        listen_on_loopback()
        torch.set_num_threads(threads)
        self._path, self._max_length, self._device = path, max_length, device
        read_texts(self._reading(("ready",)))  # loads the model

    async def read(self, texts: tuple[str, ...]) -> Encoded:
        """Embed texts, one call after the other."""
        return read_texts(self._reading(texts))

    async def count(self, texts: tuple[str, ...]) -> NDArray[np.int64]:
        """Count the tokens of texts."""
        return count_tokens(self._reading(texts))

    def _reading(self, texts: tuple[str, ...]) -> Reading:
        return Reading(self._path, self._max_length, texts, self._device)


def listen_on_loopback() -> None:
    """Keep this replica's server on loopback: it unpickles what it receives, and Ray Serve opens it to all.

    Handles call replicas through Ray and not through that server, which starts after the constructor.

    Raises:
        RuntimeFailure: this release of Ray Serve opens it in another way.
    """
    if not hasattr(replica, _OPENS):
        raise RuntimeFailure(
            "replicas of this release of Ray Serve cannot be kept on loopback",
            expected="ray 2.60",
            actual=f"ray {ray.__version__}",
            hint="pip install -c constraints.txt 'llm-agentos[serve]'",
        )
    opens = getattr(replica, _OPENS)

    def on_loopback(server: Any, address: str) -> Any:
        return opens(server, f"127.0.0.1:{address.rpartition(':')[2]}")

    setattr(replica, _OPENS, on_loopback)


def application_of(agent: int) -> str:
    """Return the name of an agent's application."""
    return f"agent-{agent}"


def targets(fitted: FittedSociety, config: ServeConfig, num_cpus: float) -> list[serve.RunTarget]:
    """Return the applications of a society.

    Args:
        fitted: the society.
        config: replicas and GPUs.
        num_cpus: cores that each process of an agent reserves.
    """
    threads = fitted.config.runtime.threads
    threads = max(1, int(config.num_cpus)) if config.num_cpus is not None else threads
    length, device = fitted.config.task.max_length, "cuda" if config.num_gpus else "cpu"
    deployment: serve.Deployment = serve.deployment(
        num_replicas=config.replicas,
        ray_actor_options={"num_cpus": num_cpus, "num_gpus": config.num_gpus},
        max_ongoing_requests=_AT_ONCE,
        max_constructor_retry_count=1,
        graceful_shutdown_timeout_s=_GRACE_S,
        graceful_shutdown_wait_loop_s=0.1,
    )(AgentReplica)
    return [
        serve.RunTarget(
            deployment.bind(member.card.path, length, threads, device),
            application_of(agent),
            route_prefix=None,
        )
        for agent, member in enumerate(fitted.members)
    ]


def problems(agents: int) -> dict[str, str]:
    """Return what is wrong with the agents' deployments, by application; nothing where all is well."""
    found = serve.status().applications
    wrong = {}
    for name in map(application_of, range(agents)):
        application = found.get(name)
        if application is None:
            wrong[name] = "it is not there"
        elif application.status.value != "RUNNING":
            said = (each.message for each in application.deployments.values())
            told = "\n".join([application.message, *said])
            wrong[name] = f"{application.status.value}: {last_line(told)}"
    return wrong


def last_line(text: str) -> str:
    """Return the last line of a message that is not blank: of a traceback, the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason")
