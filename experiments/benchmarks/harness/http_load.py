"""Load on a service: so many clients that each ask, wait for the answer, and ask again.

    python -m experiments.benchmarks.harness.http_load URL CLIENTS SECONDS

Prints the seconds of each answer as JSON. It runs in a process of its own, with one thread.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp

from experiments.benchmarks.harness.random_texts import texts

_WARM_UP_S = 1.0


async def load(url: str, clients: int, seconds: float) -> list[float]:
    """Return the seconds of each answer, without those of the warm-up."""
    bodies = [json.dumps({"texts": [text]}).encode() for text, _ in texts(512)]
    taken: list[float] = []
    begin = time.perf_counter() + _WARM_UP_S
    end = begin + seconds

    async def client(session: aiohttp.ClientSession, number: int) -> None:
        while (began := time.perf_counter()) < end:
            number = (number + clients) % len(bodies)
            async with session.post(f"{url}/answer", data=bodies[number]) as response:
                body = await response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {body[:200]!r}")
            if began >= begin:
                taken.append(time.perf_counter() - began)

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=clients),
        headers={"content-type": "application/json"},
    ) as session:
        await asyncio.gather(*(client(session, number) for number in range(clients)))
    return taken


def main() -> None:
    """Load a service, and print what came of it."""
    url, clients, seconds = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(load(url, int(clients), float(seconds)))))


if __name__ == "__main__":
    main()
