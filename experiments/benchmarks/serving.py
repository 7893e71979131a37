"""Compare `agentos serve` with a hand-written FastAPI process, and tell what a further agent costs.

    python -m experiments.benchmarks.serving

Clients in a process of their own each send one text of 24 words, wait for the answer, and send the next; all
processes share the cores. The hand-written process holds the encoder and head of the only agent, once with a
call of the model for each request (in FastAPI's threads), once with waiting requests gathered by hand. It
neither bounds nor checks anything, and counts nothing. Servers of one comparison are up at the same time and
measured in turn; the table has the medians. CPU is that of all processes of a server.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from experiments.benchmarks.harness.random_texts import LENGTH, texts
from experiments.benchmarks.harness.resources import usage
from experiments.benchmarks.harness.served_models import SIZES, solved, write_models
from experiments.benchmarks.harness.societies import publish

AGENTS = (1, 2, 4)
_CLIENT = "experiments.benchmarks.harness.http_load"


@dataclass(frozen=True)
class Server:
    """A server that is up.

    Attributes:
        url: its address.
        pid: root of its processes.
    """

    url: str
    pid: int


@dataclass(frozen=True)
class Load:
    """Outcome of one load.

    Attributes:
        per_s: answers a second.
        p50_ms, p99_ms: of the seconds of an answer.
        cpu_ms: of all processes of the server, for each answer.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """Start a server as a process that prints its address; end it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
            if found is None:
                raise SystemExit(f"{' '.join(arguments)} did not start")
            yield Server(found[0], process.pid)
        finally:
            process.terminate()
            process.wait(120)


def loaded(server: Server, clients: int, seconds: float) -> Load:
    """Load a server."""
    before = usage(server.pid).cpu_s
    done = subprocess.run(
        [sys.executable, "-m", _CLIENT, server.url, str(clients), str(seconds)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    cpu_s = usage(server.pid).cpu_s - before
    taken = np.array(json.loads(done.stdout))
    # The warm-up of a second, in which as many are answered, uses the processor too.
    answered = len(taken) * (1 + 1 / seconds)
    p50, p99 = np.quantile(taken, [0.5, 0.99])
    return Load(len(taken) / seconds, 1e3 * p50, 1e3 * p99, 1e3 * cpu_s / answered)


def medians(loads: Sequence[Load]) -> Load:
    """Return the median of each figure."""
    rows = [(each.per_s, each.p50_ms, each.p99_ms, each.cpu_ms) for each in loads]
    return Load(*(statistics.median(column) for column in zip(*rows, strict=True)))


def compared(
    commands: Mapping[str, Sequence[str]], clients: int, seconds: float, repeats: int
) -> dict[str, list[Load]]:
    """Start servers together, and load them in turn."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(*each)) for name, each in commands.items()}
        found: dict[str, list[Load]] = {name: [] for name in servers}
        for _ in range(repeats):
            for name, server in servers.items():
                found[name].append(loaded(server, clients, seconds))
    return found


def commands_of(folders: Mapping[int, Path]) -> list[dict[str, Sequence[str]]]:
    """Return the servers that are compared with each other, by name."""
    plain = ("experiments.benchmarks.harness.plain_fastapi", str(folders[1]))
    serve: dict[str, Sequence[str]] = {
        f"agentos serve, {agents} agent{'s' * (agents > 1)}": (
            *("agentos.cli", "serve", str(folder), "--port", "0"),
        )
        for agents, folder in folders.items()
    }
    first, *more = serve
    peers = {
        "FastAPI, a call a request": (*plain, "each"),
        "FastAPI, gathered": (*plain, "gather"),
    }
    alone: list[dict[str, Sequence[str]]] = [{name: serve[name]} for name in more]
    return [{first: serve[first], **peers}, *alone]


def table(size: str, found: Mapping[str, list[Load]]) -> list[str]:
    """Return the rows of one size of model."""
    layers, width, _ = SIZES[size]
    rows = [
        "",
        f"## A BERT of {layers} layers x {width}",
        "",
        "| server | requests/s | p50 (ms) | p99 (ms) | CPU (ms/request) |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, loads in found.items():
        each = medians(loads)
        rows.append(
            f"| {name} | {each.per_s:.0f} | {each.p50_ms:.0f} | {each.p99_ms:.0f} | {each.cpu_ms:.2f} |"
        )
    first, *peers = list(found)[:3]
    for name in peers:
        pairs = zip(found[first], found[name], strict=True)
        ratios = [mine.per_s / theirs.per_s for mine, theirs in pairs]
        shown = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
        rows += [
            "",
            f"One agent next to *{name}*: {statistics.median(ratios):.2f} times its requests a second "
            f"({shown} in {len(ratios)} pairs).",
        ]
    return [*rows, "", further(found)]


def further(found: Mapping[str, list[Load]]) -> str:
    """Return the sentence on what each further agent costs; servers are named by their agents."""
    ours = [name for name in found if name.startswith("agentos serve")]
    cpu_ms = [medians(found[name]).cpu_ms for name in ours]
    each = np.polyfit(AGENTS, cpu_ms, 1)[0]
    shown = ", ".join(f"{mine:.2f}" for mine in cpu_ms)
    return (
        f"A further agent, which is asked about every text, costs {each:.2f} ms of processor time a request "
        f"({shown} with {', '.join(map(str, AGENTS))} agents)."
    )


def main(
    clients: Annotated[int, typer.Option(min=1, help="Clients at a time.")] = 64,
    seconds: Annotated[float, typer.Option(help="Length of each load.")] = 4.0,
    repeats: Annotated[int, typer.Option(min=1, help="Loads of each server.")] = 3,
    sizes: Annotated[str, typer.Option(help="Sizes of model, with commas.")] = "tiny",
    count: Annotated[int, typer.Option(help="Texts of the task that is solved.")] = 400,
) -> None:
    """Measure throughput and latency of a served society; print a Markdown table."""
    lines = [
        "# A society over HTTP",
        "",
        f"`python -m experiments.benchmarks.serving --sizes {sizes}`; {clients} clients, "
        f"one text of {LENGTH} words a request, {os.cpu_count()} cores ({platform.machine()}) for "
        f"clients and servers together; medians of {repeats} loads of {seconds:g} s.",
    ]
    for size in sizes.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            models = write_models(folder, size, max(AGENTS))
            folders = {n: solved(folder, models[:n], texts(count)) for n in AGENTS}
            found: dict[str, list[Load]] = {}
            for commands in commands_of(folders):
                found |= compared(commands, clients, seconds, repeats)
                typer.echo(f"{size}: {', '.join(commands)}", err=True)
        lines += table(size, found)
    typer.echo(publish("serving", lines))


if __name__ == "__main__":
    typer.run(main)
