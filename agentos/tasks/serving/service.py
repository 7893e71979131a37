"""A running service: the agents are deployed on Ray Serve, the ingress listens, and all ends in order.

The ingress listens in this process, not behind the proxy of Ray Serve: a request passes through two processes
fewer, a body that is too large is refused before any of it is kept, and a port that is taken is an error.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import ray
import uvicorn
from ray import serve
from ray.serve.config import ProxyLocation
from typing_extensions import Self

from agentos.runtime.ray.liveness import POLL_S, Liveness, dead_processes
from agentos.runtime.ray.runtime import RayRuntime
from agentos.tasks.serving.config import ServeConfig
from agentos.tasks.serving.deployments import problems, targets
from agentos.tasks.serving.ingress import Ingress
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.society.saved_society import SOCIETY, load_society
from protocols.errors import ConfigurationError, DeadlineExceeded, ModelError, RuntimeFailure

_START_S = 300.0
"""Seconds that the deployments may take to start."""
_LOOK_S = 0.2
_OBJECT_STORE_MB = 128
_CONNECTIONS = 2048
"""Connections at a time; a request on any further one is refused with 503."""
_GRACE_S = 5
"""Seconds for which requests may be answered after the end was asked for."""


class Service:
    """A society over HTTP; a context manager, which ends it.

    Args:
        fitted: the society.
        config: where and how it is served.

    Example:
        >>> with Service.open("runs/triage", ServeConfig(port=0)) as service:  # doctest: +SKIP
        ...     print(service.url)
    """

    def __init__(self, fitted: FittedSociety, config: ServeConfig) -> None:
        self.fitted = fitted
        self.config = config
        self._undo = ExitStack()
        self._liveness = Liveness()
        self._thread: threading.Thread | None = None

    @classmethod
    def open(
        cls,
        directory: str | Path,
        config: ServeConfig | None = None,
        trusted: Iterable[str] | None = (),
    ) -> Self:
        """Read the society of a folder; `start` or ``with`` serves it.

        Raises:
            RecordError: the folder holds no society, or a damaged one.
        """
        return cls(load_society(Path(directory) / SOCIETY, trusted), config or ServeConfig())

    @property
    def url(self) -> str:
        """Address of the service."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"http://{host}:{self.config.port}"

    def start(self) -> None:
        """Start Ray unless it runs, and the society on it; return when it answers.

        Raises:
            ConfigurationError: the port is taken, or the society does not fit on this machine.
            ModelError: a model is gone.
            RuntimeFailure: a model cannot be loaded, or Ray cannot be started.
        """
        require_models(self.fitted)
        try:
            listening = self._undo.enter_context(bound(self.config.host, self.config.port))
            port = int(listening.getsockname()[1])
            self.config = self.config.model_copy(update={"port": port})
            self._undo.enter_context(RayRuntime(object_store_mb=_OBJECT_STORE_MB).ahead())()
            self._deploy()
            self._listen(listening)
        except BaseException:
            self.close()
            raise

    def wait(self) -> None:
        """Wait until the service ends, or an exception such as `Interrupted` comes.

        Raises:
            RuntimeFailure: Ray has died.
        """
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(POLL_S)
            self._liveness.require("serving")

    def close(self) -> None:
        """End the ingress, the deployments, and Ray if it was started here."""
        self._undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _deploy(self) -> None:
        """Deploy the agents, and wait until each has loaded its model."""
        there = ray.cluster_resources()
        share = self.share(there.get("CPU", 0.0), there.get("GPU", 0.0))
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        logs = {"log_level": "WARNING", "enable_access_log": False}
        serve.start(proxy_location=ProxyLocation.Disabled, logging_config=logs)
        self._undo.callback(_end_serve)
        applications = targets(self.fitted, self.config, share)
        serve.run_many(applications, wait_for_applications_running=False)
        until = time.monotonic() + _START_S
        while wrong := problems(len(applications)):
            self._liveness.require("starting the society")
            failed = [said for said in wrong.values() if said.startswith("DEPLOY_FAILED")]
            if failed:
                raise RuntimeFailure(
                    "the society could not be started",
                    actual=failed[0],
                    hint="see that its models load ('agentos ask'), and that memory suffices",
                )
            if time.monotonic() > until:
                raise DeadlineExceeded(
                    "the society was not ready in time",
                    expected=f"at most {_START_S:g} s",
                    actual=", ".join(wrong),
                    hint="see that the machine has memory and cores to spare",
                )
            time.sleep(_LOOK_S)

    def _listen(self, listening: socket.socket) -> None:
        ingress = Ingress(self.fitted, self.config)
        self._undo.callback(ingress.close)
        server = uvicorn.Server(
            uvicorn.Config(
                ingress.api(),
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread = threading.Thread(
            target=server.run, args=([listening],), name="ingress", daemon=True
        )
        self._thread.start()

        def end(thread: threading.Thread = self._thread) -> None:
            server.should_exit = True
            thread.join(2 * _GRACE_S)

        self._undo.callback(end)
        while not server.started and self._thread.is_alive():
            time.sleep(0.01)

    def share(self, cpus: float, gpus: float) -> float:
        """Return the cores of each process; refuse more than there are.

        Raises:
            ConfigurationError: the processes do not fit, and Ray would wait for room without an end.
        """
        processes = len(self.fitted.members) * self.config.replicas
        share = self.config.num_cpus
        if share is None:
            even = math.floor(100 * cpus / processes) / 100
            share = max(0.01, min(float(self.fitted.config.runtime.threads), even))
        for asked, there, option in (
            (share * processes, cpus, "--num-cpus"),
            (self.config.num_gpus * processes, gpus, "--num-gpus"),
        ):
            if asked > there + 1e-9:
                raise ConfigurationError(
                    "the society does not fit on this machine",
                    expected=f"at most {there:g} in all for {processes} processes",
                    actual=f"{asked:g}",
                    hint=f"lower {option}, which may be a part of one, or --replicas",
                )
        return share


def require_models(fitted: FittedSociety) -> None:
    """Refuse a society whose models are gone.

    Raises:
        ModelError: a folder is not there.
    """
    for member in fitted.members:
        if not Path(member.card.path).expanduser().is_dir():
            raise ModelError(
                f"the model {member.card.name} is gone",
                expected="the folder that it was read from",
                actual=member.card.path,
                hint="put it back, or solve the task again",
            )


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        ConfigurationError: the port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError:
            found.close()
            raise
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"nothing can be served on {host}, port {port}",
            actual=str(error),
            hint="choose another --port (0 takes a free one), or a --host of this machine",
        ) from error
    return found


def _end_serve() -> None:
    """End the deployments, unless Ray is dead: it would not answer."""
    if ray.is_initialized() and not dead_processes():
        serve.shutdown()
