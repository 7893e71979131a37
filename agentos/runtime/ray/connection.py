"""Connection of this process to Ray: start a local Ray, or join a cluster."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from agentos.runtime.ray.scratch import Scratch
from protocols.errors import ConfigurationError, RuntimeFailure

_CONNECT_S = 10.0
_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
_SOCKET = "session_2030-12-31_23-59-59_123456_4194304/sockets/plasma_store"
"""A long name of a socket in Ray's temporary folder."""


def connect(address: str | None, object_store_mb: int, spill_folder: str | None) -> ExitStack:
    """Connect to Ray; return a stack that disconnects on close. An existing Ray connection is left open.

    Args:
        address: cluster to join; None to start one.
        object_store_mb: shared memory for messages, if a cluster is started.
        spill_folder: folder for messages that do not fit; None for the system's temporary folder.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        if address is not None:
            raise ConfigurationError(
                "this process is connected to Ray already",
                actual=address,
                hint="leave out the address, or call ray.shutdown() first",
            )
        return ExitStack()
    handler = signal.getsignal(signal.SIGTERM)
    with ExitStack() as undo:
        if address is not None:
            require_listener(address)
            _init(address=address)
        else:
            own: dict[str, Any] = {"object_store_memory": object_store_mb * 2**20}
            if os.name == "posix":
                # Ray's default spill folder would keep the messages of a killed run.
                folder = undo.enter_context(Scratch(spill_folder))
                own["object_spilling_directory"] = str(folder)
            # Task events serve only the dashboard, which is disabled, and Ray keeps a great many.
            own["_system_config"] = {"task_events_report_interval_ms": 0}
            with _on_loopback():
                _init(address="local", num_cpus=_cores(), include_dashboard=False, **own)
        undo.callback(ray.shutdown)
        _quieten()
        keep_handlers(handler)
        return undo.pop_all()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that starts within the context listen to this machine alone.

    Ray replaces a loopback address that is passed to it by one that others can reach. Only where it takes no
    clusters, which is its default on macOS and Windows, it stays on loopback.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def end_in_order() -> None:
    """Make SIGTERM end this process as `sys.exit` does; Ray does so only when started in the main thread.

    A handler that is there already stays.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))


def _quieten() -> None:
    """Keep the logs of Ray's processes, which it prints when one dies, out of the output of a run."""
    from ray._private import worker

    worker._worker_logs_enabled = False


def keep_handlers(handler: Any = None) -> None:
    """Restore the handler of SIGTERM: Ray replaces it by one that aborts the process.

    Args:
        handler: the one from before; the present one of Python's if there was none.
    """
    if threading.current_thread() is threading.main_thread():
        before = handler or signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
        signal.signal(signal.SIGTERM, before)


def require_short_path() -> None:
    """Refuse a temporary folder whose path leaves no room for the names of Ray's sockets.

    Raises:
        ConfigurationError: the operating system would refuse the sockets.
    """
    from ray._common.utils import get_default_ray_temp_dir

    folder = str(get_default_ray_temp_dir())
    room = _SOCKET_PATH_BYTES - len(_SOCKET) - 1
    if os.name == "posix" and len(os.fsencode(folder)) > room:
        raise ConfigurationError(
            "Ray cannot be started: the path of its temporary folder is too long for sockets",
            expected=f"at most {room} bytes",
            actual=f"{folder}, {len(os.fsencode(folder))} bytes",
            hint="set RAY_TMPDIR (or TMPDIR) to a shorter path, such as /tmp",
        )


def _init(address: str, **options: Any) -> None:
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except ray.exceptions.AuthenticationError as error:
        raise RuntimeFailure(
            "Ray refused this process: this process does not have the cluster's token",
            actual=str(error).strip().split("\n")[0],
            hint="set RAY_AUTH_MODE=token (Ray sends no token to an address that is named, unless told to), "
            "and see that ~/.ray/auth_token, RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN holds the token of the "
            "cluster's head node",
        ) from error
    except (
        Exception
    ) as error:  # if a node is not up after half a minute, Ray raises a plain `Exception`
        reason = str(error).strip().split("\n")[0]
        if address != "local":
            raise _unreachable("Ray could not be reached", reason) from error
        raise RuntimeFailure(
            "Ray could not be started",
            actual=reason,
            hint="see that this machine has free memory, free disk space and a core to spare, and try again; "
            "or set runtime.kind=local",
        ) from error


def require_listener(address: str) -> None:
    """Refuse an address without a listener: Ray itself would retry for many minutes."""
    if address == "auto":
        address = _detected()
    found = re.fullmatch(r"(?:ray://)?([^/:]+):(\d{1,5})", address)
    if found is None:
        return
    import ray

    host, port = found[1], int(found[2])
    hosts = [host]
    if host in ("localhost", "127.0.0.1"):
        # Ray substitutes this node's address and may listen only there.
        hosts.append(ray.util.get_node_ip_address())
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
    """Return the address that ``auto`` means to Ray: that of the cluster started last, perhaps gone."""
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
        hint="start a cluster with 'ray start --head', and pass its address to --address",
    )


def _cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
