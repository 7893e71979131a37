"""A large message from one host to another, compared with Ray's own put and get of the same array.

    python -m experiments.benchmarks.message_path

Two Ray actors. On one side the first encodes a message of weights and stores it, and the second fetches it,
checks it as every received message is checked, and decodes it; on the other side the first puts the array
and the second gets it. Either side takes two calls, and the sides alternate. The decoded array must be in
the object store's memory: decoding copies nothing.
"""

from __future__ import annotations

import statistics
import time
from typing import Annotated, Any

import numpy as np
import typer

from agentos.runtime.ray.object_store import RayStore
from agentos.runtime.ray.runtime import RayRuntime
from experiments.benchmarks.harness.societies import publish
from protocols.messages import Message, Weights
from protocols.wire.buffers import Packet
from protocols.wire.serialize import packet_of
from protocols.wire.validate import Expectation, admit

LAYOUT = "benchmark"
BREATH_S = 0.05
"""Pause before each call, in which Ray frees what earlier calls held."""
WARM_UP = 12
"""Messages before timing, which use every page of the store once: a page's first use is costly."""
SETTLING_S = 15.0
"""Seconds for which Ray keeps starting its own processes, on the same cores."""


class Endpoint:
    """One end of the path, in its own process."""

    def __init__(self, floats: int) -> None:
        self.values = np.random.default_rng(0).standard_normal(floats, dtype=np.float32)
        self.store = RayStore()

    def send(self) -> Any:
        """Encode and store a message."""
        payload = Weights(values=self.values, weight=1.0, layout=LAYOUT)
        message = Message.compose(payload, sender=0, round=1, hop=0)
        return self.store.put([packet_of(message)])

    def receive(self, parcels: Any) -> float:
        """Fetch, check and decode a message; return one of its numbers."""
        ((packet,),) = self.store.get([parcels])
        expectation = Expectation(
            round=1,
            hop=0,
            senders=frozenset({0}),
            payload=Weights,
            shapes={"values": self.values.shape},
            layout=LAYOUT,
        )
        message = admit(packet, expectation)
        assert isinstance(message.payload, Weights)
        assert isinstance(packet, Packet)  # so large a message comes in pieces
        if not np.shares_memory(message.payload.values, packet.pieces[-1]):
            raise AssertionError("decoding has copied the numbers")
        return float(message.payload.values[-1])

    def put(self) -> Any:
        """Put the array."""
        import ray

        return [ray.put(self.values)]

    def get(self, reference: Any) -> float:
        """Get the array; return one of its numbers."""
        import ray

        return float(ray.get(reference[0])[-1])


def timed(sender: Any, receiver: Any) -> dict[str, float]:
    """Return the seconds of both halves of either side."""
    import ray

    seconds: dict[str, float] = {}

    def call(name: str, actor: Any, method: str, *arguments: Any) -> Any:
        time.sleep(BREATH_S)
        began = time.perf_counter()
        answer = ray.get(getattr(actor, method).remote(*arguments))
        seconds[name] = time.perf_counter() - began
        return answer

    parcels = call("encode and store", sender, "send")
    last = call("fetch, check and decode", receiver, "receive", parcels)
    reference = call("put", sender, "put")
    if last != call("get", receiver, "get", reference):
        raise AssertionError("the two sides received different numbers")
    return seconds


def main(
    megabytes: Annotated[int, typer.Option(help="Size of the message.")] = 64,
    repeats: Annotated[int, typer.Option(help="Messages of each side.")] = 15,
) -> None:
    """Compare the path of a message with Ray's put and get; print a Markdown table."""
    import ray

    floats = megabytes * 10**6 // 4
    runtime = RayRuntime(hosts=2, object_store_mb=max(512, 8 * megabytes))
    with runtime.open(agents=2):
        ends = [ray.remote(Endpoint).options(num_cpus=0).remote(floats) for _ in range(2)]
        timed(*ends)
        time.sleep(SETTLING_S)
        found = [timed(*ends) for _ in range(WARM_UP + repeats)][WARM_UP:]
    medians = {name: 1000 * statistics.median(each[name] for each in found) for name in found[0]}
    ours = medians["encode and store"] + medians["fetch, check and decode"]
    raw = medians["put"] + medians["get"]
    rows = [
        f"| {megabytes} MB between two hosts | first half (ms) | second half (ms) | both (ms) |",
        "| --- | --- | --- | --- |",
        f"| message: encode and store; fetch, check and decode | {medians['encode and store']:.1f} | "
        f"{medians['fetch, check and decode']:.1f} | {ours:.1f} |",
        f"| Ray: put; get | {medians['put']:.1f} | {medians['get']:.1f} | {raw:.1f} |",
        "",
        f"Speed of a message: {raw / ours:.2f} of Ray's.",
    ]
    typer.echo(publish("message_path", rows))


if __name__ == "__main__":
    typer.run(main)
