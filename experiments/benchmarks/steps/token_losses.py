"""Measure the loss of a language model over its vocabulary, in parts and as PyTorch's cross-entropy.

    python -m experiments.benchmarks.steps.token_losses

From states to the gradient of states and output embedding, on one thread, with the products of the output
embedding; the two ways alternate. Seconds are of processor time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from agents.models.cpu.malloc import keep_freed_memory
from agents.models.language_head import token_losses
from experiments.benchmarks.harness.societies import publish

SHAPES = ((2048, 8192, 128), (1024, 2048, 64), (160, 8192, 128))
"""Tokens, words and width: causal models of 64 and 32 texts of 32 tokens, and a masked one."""
Losses = Callable[[Tensor, Tensor], Tensor]


def plain(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    """Return the losses as PyTorch computes them, with the most probable words."""
    logits_MV = logits_MV.float()
    _ = (logits_MV.argmax(dim=1) == targets_M).float()
    return F.cross_entropy(logits_MV, targets_M, reduction="none")


def in_parts(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    """Return the losses as agents compute them."""
    return token_losses(logits_MV, targets_M)[0]


def measure(shape: tuple[int, int, int], bf16: bool, repeats: int) -> tuple[float, float]:
    """Return the median milliseconds of both ways."""
    tokens, words, width = shape
    states = torch.randn(tokens, width, requires_grad=True)
    table = torch.randn(words, width, requires_grad=True)
    targets = torch.randint(words, (tokens,))
    seconds: dict[Losses, list[float]] = {plain: [], in_parts: []}
    for repeat in range(1 + repeats):
        for losses, taken in seconds.items():
            states.grad = table.grad = None
            began = time.thread_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = F.linear(states, 0.05 * table)
            losses(logits, targets).mean().backward()  # type: ignore[no-untyped-call]
            if repeat:  # the first warms up
                taken.append(time.thread_time() - began)
    before, after = (1e3 * statistics.median(each) for each in seconds.values())
    return before, after


def main(repeats: Annotated[int, typer.Option(help="Steps of each way.")] = 8) -> None:
    """Time both ways; print a Markdown table."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = ["| tokens x words | precision | ms, cross-entropy | ms, in parts | ratio |"]
    rows.append("| --- | --- | ---: | ---: | ---: |")
    for shape in SHAPES:
        for bf16 in (True, False):
            before, after = measure(shape, bf16, repeats)
            name = f"| {shape[0]:,} x {shape[1]:,} | {'bf16' if bf16 else 'fp32'} "
            rows.append(f"{name}| {before:.1f} | {after:.1f} | {after / before:.2f} |")
    typer.echo(publish("token_losses", rows))


if __name__ == "__main__":
    typer.run(main)
