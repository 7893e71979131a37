"""Check training on a GPU against a CPU, and measure what stacks of agents gain there.

    python -m experiments.benchmarks.gpu
    python -m experiments.benchmarks.gpu --device cpu --agents 4 --sizes 1,4

Sized to take less than four minutes on one GPU; it needs no network. First, agents of the presets nano and
nano-decoder take steps without dropout on the device, one by one and in a stack, and are compared with agents
on a CPU: the largest difference of a parameter, and the largest change by training. Then agents of the
preset nano train on 8 docstrings of 32 tokens a step in stacks of different sizes; a row has the steps per
second of all agents together, and the peak of the device's memory. Last, as many numbers as a message may
hold are copied within the device, and by way of the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
import typer
from torch import Tensor

from agentos.config.run import RunConfig
from agentos.events import Listener
from agentos.runtime.local import LocalStore
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.hosting.host import Host
from agents.training.blueprint import Blueprint
from experiments.benchmarks.harness.societies import publish
from experiments.benchmarks.steps.stacks import ALONE, Work, configuration

COMPARED = (Work("nano", "info_nce", 8, 32), Work("nano-decoder", "causal_lm", 8, 32))
TIMED = COMPARED[0]
STEPS = 5


def blueprint(work: Work, agents: int, dropout: float, steps: int = STEPS) -> Blueprint:
    """Return the blueprint of some agents on a CPU."""
    values = configuration(work, steps).model_dump()
    encoder = {"preset": work.preset, "dropout": dropout}
    config = RunConfig.model_validate({**values, "agents": {"count": agents, "encoder": encoder}})
    return blueprint_of(config, prepare_corpus(config, Listener()), Listener())


def host_of(values: Blueprint, device: str, stack: int) -> Host:
    """Build the agents on a device, in stacks of a size."""
    host = Host(LocalStore())
    host.build(replace(values, device=device, stack=stack))
    host.begin(ALONE)
    return host


def learnt(values: Blueprint, device: str, stack: int, rounds: int = 1) -> Tensor:
    """Return the parameters `[A, P]` of all agents after some rounds, on the CPU."""
    host = host_of(values, device, stack)
    for round in range(rounds):
        host.train(1 + round)
    found = torch.stack([host.agents.unchanged(id).parameters.cpu() for id in host.agents])
    host.close()
    return found


def differences(device: str) -> list[str]:
    """Return rows about the largest difference from training on a CPU."""
    rows = []
    for work in COMPARED:
        values = blueprint(work, 4, dropout=0.0)
        expected = learnt(values, "cpu", 1)
        begun = learnt(values, "cpu", 1, rounds=0)
        changed = (expected - begun).abs().max()
        for stack in (1, 4):
            apart = (learnt(values, device, stack) - expected).abs().max()
            rows.append(f"| {work.row()}, {stack} at once | {apart:.1e} | {changed:.1e} |")
    return rows


def speeds(device: str, agents: int, sizes: list[int], seconds: float) -> list[str]:
    """Return rows about the steps per second and the memory of stacks."""
    values = blueprint(TIMED, agents, dropout=0.1)
    rows = []
    for size in sizes:
        host = host_of(values, device, size)
        host.train(1)  # warms up
        if device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        rounds, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            host.train(2 + rounds)
            rounds += 1
        rate = rounds * agents * STEPS / (time.perf_counter() - began)
        peak = torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else float("nan")
        rows.append(f"| {size} | {rate:.0f} | {peak:.2f} |")
        host.close()
    return rows


def copies(device: str, floats: int = 2**24) -> list[str]:
    """Return rows about copies of 64 MB: within the device, and by way of the host."""
    source, target = (torch.zeros(floats, device=device) for _ in range(2))

    def gigabytes_per_second(copy: Callable[[], object]) -> float:
        copy()
        _wait(device)
        began = time.perf_counter()
        for _ in range(20):
            copy()
        _wait(device)
        return 20 * source.nbytes / (time.perf_counter() - began) / 1e9

    direct = gigabytes_per_second(lambda: target.copy_(source))
    around = gigabytes_per_second(lambda: target.copy_(source.cpu()))
    return [
        f"| within the device | {direct:.1f} |",
        f"| by way of the host | {around:.1f} |",
    ]


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def main(
    device: Annotated[str, typer.Option(help="cuda, or cpu to rehearse.")] = "cuda",
    agents: Annotated[int, typer.Option(help="Agents whose steps are timed.")] = 256,
    sizes: Annotated[str, typer.Option(help="Sizes of stacks.")] = "1,16,256",
    seconds: Annotated[float, typer.Option(help="Time for each size.")] = 20.0,
) -> None:
    """Check and time training on a GPU; print Markdown tables."""
    if device != "cpu" and not torch.cuda.is_available():
        raise typer.BadParameter("PyTorch sees no GPU here; --device cpu rehearses the command")
    name = torch.cuda.get_device_name() if device != "cpu" else "the CPU, as a rehearsal"
    rows = [f"Measured on {name}, PyTorch {torch.__version__}.", ""]
    rows += ["| work | largest difference from a CPU | largest change |", "| --- | ---: | ---: |"]
    rows += differences(device)
    rows += ["", f"| {agents} agents, {TIMED.row()}, stacks of | steps/s | peak memory (GB) |"]
    rows += ["| ---: | ---: | ---: |"]
    rows += speeds(device, agents, [int(size) for size in sizes.split(",")], seconds)
    rows += ["", "| 64 MB copied | GB/s |", "| --- | ---: |", *copies(device)]
    typer.echo("\n".join(rows) if device == "cpu" else publish("gpu", rows))


if __name__ == "__main__":
    typer.run(main)
