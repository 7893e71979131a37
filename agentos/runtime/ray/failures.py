"""Errors of Ray, translated into those of a run; new hosts can repair `HostLost`."""

from __future__ import annotations

from protocols.errors import AgentOSError, HostLost, RuntimeFailure


def host_died(host: int, title: str, why: str) -> HostLost:
    """Return the error of a host that has died."""
    return HostLost(
        f"host {host} died while it was to {title}",
        expected="an answer",
        actual=why,
        hint="look for a lack of memory or a killed process, and continue with 'agentos resume'",
    )


def translated(error: BaseException, host: int, title: str) -> AgentOSError | None:
    """Return the error of a run that an error of Ray means; None for other errors.

    Args:
        error: raised while waiting for an answer, or its cause in the host.
        host: that was to answer.
        title: of the call that the host was to run.
    """
    from ray import exceptions

    first = str(error).strip().split("\n")[0]
    if isinstance(error, (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError)):
        return RuntimeFailure(
            f"Ray's object store is full: host {host} could not {title}",
            expected="room for the messages of a hop",
            actual=first,
            hint="make room where Ray spills to (runtime.spill_folder names another folder), or raise "
            "runtime.object_store_mb: 'agentos resume DIR runtime.object_store_mb=...' goes on; or send "
            "less, with exchange.codec",
        )
    if isinstance(error, (exceptions.RayActorError, exceptions.OutOfMemoryError)):
        return host_died(host, title, first)
    if isinstance(error, exceptions.ObjectLostError):
        return HostLost(
            f"host {host} could not {title}: messages are gone with the host that sent them",
            actual=first,
            hint="look for a lack of memory or a killed process, and continue with 'agentos resume'",
        )
    return None
