"""Connection of this process to Ray: it starts one itself, or joins a cluster."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from typing import Any

from agentos.runtime.ray.scratch import Scratch
from protocols.errors import ConfigurationError, RuntimeFailure

_CONNECT_S = 10.0


def connect(address: str | None, object_store_mb: int, spill_folder: str | None) -> ExitStack:
    """Connect to Ray; return a stack whose closing undoes that. A Ray that was connected before stays.

    Args:
        address: of a cluster to join; None to start one.
        object_store_mb: shared memory for messages, of a cluster that is started.
        spill_folder: for messages that do not fit; None for the system's temporary folder.
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
    with ExitStack() as undo:
        if address is not None:
            require_listener(address)
            _init(address=address)
        else:
            own: dict[str, Any] = {"object_store_memory": object_store_mb * 2**20}
            if os.name == "posix":
                # Where Ray spills to of itself, the messages of a run that was killed would stay.
                folder = undo.enter_context(Scratch(spill_folder))
                own["object_spilling_directory"] = str(folder)
            # Events of calls are for a dashboard, which is not started, and Ray keeps very many of them.
            own["_system_config"] = {"task_events_report_interval_ms": 0}
            _init(address="local", num_cpus=_cores(), include_dashboard=False, **own)
        undo.callback(ray.shutdown)
        return undo.pop_all()


def end_in_order() -> None:
    """Make SIGTERM end this process as `sys.exit` does; Ray does so only when started in the main thread."""
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
            hint="set RAY_AUTH_MODE=token (Ray sends no token to an address that is named, unless told to), "
            "and see that ~/.ray/auth_token, RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN holds the token of the "
            "cluster's head node",
        ) from error
    except (
        Exception
    ) as error:  # for a node that is not up after half a minute, Ray raises no subclass
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
        # Ray replaces it by this node's address, and may listen at that one only.
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
    """Return the address that ``auto`` means to Ray: that of the cluster started last, which may be gone."""
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
