"""Messages handed from host to host by Ray Direct Transport: from memory to memory, past the object store.

By gloo between processors, by NCCL between GPUs. A host keeps what it has composed until the driver asks for
it; what the driver gets is a reference, which travels with the envelopes, and for which the receiving host is
sent the bytes themselves. They are admitted there as any others.

Alpha in Ray (``ray.experimental.collective``), hence an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from protocols.wire.buffers import Bytes, Packet

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["gloo", "nccl"]


class DirectStore:
    """Messages of a host that leave it from its own memory.

    Args:
        device: where the transport takes bytes from, and puts them.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._leaving: dict[int, list[Tensor]] = {}
        self._arrived: Sequence[list[Tensor]] = ()
        self._count = 0

    def put(self, packets: Iterable[Packet]) -> Any:
        """Keep the messages until they are taken; the handle is the number of the parcel."""
        tensors = [self._copied(packet) for packet in packets]
        if not tensors:
            return []
        self._count += 1
        self._leaving[self._count] = tensors
        return [self._count]

    def take(self, parcel: int) -> list[Tensor]:
        """Give a parcel away."""
        return self._leaving.pop(parcel)

    def arrive(self, parcels: Sequence[list[Tensor]]) -> None:
        """Note the parcels that come with a call; its handles are their numbers in this order."""
        self._arrived = parcels

    def get(self, handles: Sequence[Any]) -> list[Sequence[Bytes | Packet]]:
        """Return the messages of the parcels that came with the call under way."""
        return [
            [tensor.cpu().numpy() for index in handle for tensor in self._arrived[index]]
            for handle in handles
        ]

    def _copied(self, packet: Packet) -> Tensor:
        import torch

        tensor = torch.empty(packet.nbytes, dtype=torch.uint8)
        packet.write_to(tensor.numpy())
        return tensor.to(self._device)


def host_class(backend: Backend) -> type:
    """Return the class of hosts that hand messages on by a backend."""
    import ray

    from agents.hosting.host import Host

    class DirectHost(Host):
        store: DirectStore

        @ray.method(tensor_transport=backend)
        def leave(self, parcel: int) -> list[Tensor]:
            return self.store.take(parcel)

        def receive(self, method: str, arguments: Sequence[Any], *parcels: list[Tensor]) -> Any:
            self.store.arrive(parcels)
            try:
                return getattr(self, method)(*arguments)
            finally:
                self.store.arrive(())

    return DirectHost


def create_hosts(hosts: Iterable[int], options: Mapping[str, Any]) -> dict[int, Any]:
    """Create hosts that form a group; nobody joins it later.

    Args:
        hosts: their numbers.
        options: of each actor.
    """
    import ray
    from ray.experimental.collective import create_collective_group

    on_gpus = "num_gpus" in options
    actor_class: Any = ray.remote(host_class("nccl" if on_gpus else "gloo")).options(**options)
    device = "cuda" if on_gpus else "cpu"
    actors = {host: actor_class.remote(DirectStore(device)) for host in hosts}
    create_collective_group(list(actors.values()), "nccl" if on_gpus else "torch_gloo")
    return actors


def submit(actor: Any, method: str, arguments: Sequence[Any]) -> Any:
    """Call a method of a host; what its handles stand for goes with the call."""
    references: list[Any] = []
    numbered = [_numbered(argument, references) for argument in arguments]
    if not references:
        return getattr(actor, method).remote(*arguments)
    return actor.receive.remote(method, numbered, *references)


def landed(actor: Any, answer: Any) -> Any:
    """Return a host's answer with references in the place of its parcels' numbers."""
    from agents.hosting.delivery import Outbox
    from agents.hosting.tracing import Traced

    if isinstance(answer, Traced):
        return answer._replace(answer=landed(actor, answer.answer))
    if isinstance(answer, Outbox):
        handle = [actor.leave.remote(parcel) for parcel in answer.handle]
        return replace(answer, handle=handle)
    return answer


def _numbered(argument: Any, references: list[Any]) -> Any:
    """Return an argument with numbers in the place of references, which are added to the list."""
    import ray

    if not isinstance(argument, list):
        return argument
    numbered = []
    for handle in argument:
        is_one = isinstance(handle, list) and all(isinstance(r, ray.ObjectRef) for r in handle)
        if not is_one:
            return argument
        numbered.append([len(references) + index for index in range(len(handle))])
        references.extend(handle)
    return numbered
