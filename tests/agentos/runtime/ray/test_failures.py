"""Ray's errors as a run reports them."""

from __future__ import annotations

import pytest

from agentos.runtime.ray.failures import translated
from protocols.errors import HostLost, RuntimeFailure


def test_a_full_object_store_is_named_and_not_taken_for_a_dead_host() -> None:
    from ray.exceptions import ObjectStoreFullError, OutOfDiskError

    for error in (ObjectStoreFullError("no room for 3 GB"), OutOfDiskError("no room to spill")):
        failure = translated(error, 1, "compose")
        assert type(failure) is RuntimeFailure
        assert "object store is full: host 1 could not compose" in failure.message
        assert "runtime.object_store_mb" in str(failure.hint)


@pytest.mark.parametrize("name", ["ActorDiedError", "ActorUnavailableError"])
def test_dead_actors_are_lost_hosts(name: str) -> None:
    from ray import exceptions

    arguments = ("away", None) if name == "ActorUnavailableError" else ()
    failure = translated(getattr(exceptions, name)(*arguments), 0, "train")
    assert isinstance(failure, HostLost)
    assert failure.message == "host 0 died while it was to train"


def test_messages_that_died_with_their_sender_are_lost() -> None:
    from ray.exceptions import OwnerDiedError

    failure = translated(OwnerDiedError("00" * 28, None, ""), 2, "merge")
    assert isinstance(failure, HostLost)
    assert "messages are gone" in failure.message


def test_errors_of_others_are_left_alone() -> None:
    assert translated(ValueError("mine"), 0, "train") is None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 786432 bytes."
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
    ],
    ids=["processor", "accelerator", "python"],
)
def test_lack_of_memory_is_named_with_the_way_out(error: Exception) -> None:
    found = translated(error, 1, "train agents")
    assert isinstance(found, RuntimeFailure)
    assert "no more memory" in str(found)
    assert "micro_batch_tokens" in found.hint
