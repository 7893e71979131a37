"""Gains of each optimisation in `agents.models.cpu`, as the time of a training step with and without it.

    python -m experiments.benchmarks.steps.cpu_step

An encoder, of the preset tiny (a BERT of 2 layers x 128) where no other is named, takes steps of in-batch
contrastive learning on 64 pairs of random tokens, 32 where no other number is named, on one thread. The two
variants of a row alternate, and medians are compared. Whether glibc keeps freed memory is a setting of the
process, so each variant of that row has its own process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import get_context
from typing import Annotated, Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
import typer
from transformers import AutoModel

from agents.config import EncoderConfig, Preset
from agents.models.build import preset_config
from agents.models.cpu.byte_dropout import use_byte_dropout
from agents.models.cpu.malloc import keep_freed_memory
from agents.models.cpu.matmul_attention import use_matmul_attention
from agents.models.encoder import Encoder
from experiments.benchmarks.harness.societies import publish

PAIRS, TOKENS, VOCABULARY, TEMPERATURE = 64, 32, 8192, 0.05
PARTS_OF_VECTORS = (15, 16, 24)
"""Tokens of texts that fill no vector of bfloat16."""
PRESETS_TIMED: tuple[Preset, ...] = ("nano", "tiny", "small")
Step = Callable[[], None]
Context = Callable[[], AbstractContextManager[object]]


def training_step(
    pooling: str = "mean",
    byte_dropout: bool = True,
    around: Context = nullcontext,
    preset: Preset = "tiny",
    matmul_attention: bool = False,
    tokens: int = TOKENS,
) -> Step:
    """Return a function that takes one training step of a new encoder, inside a context."""
    torch.manual_seed(0)
    config = preset_config(EncoderConfig(preset=preset), VOCABULARY, padding_id=0)
    backbone = AutoModel.from_config(config)
    if matmul_attention:
        use_matmul_attention(backbone)
    encoder = Encoder(backbone, pooling).train()
    if byte_dropout:
        use_byte_dropout(encoder)
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, fused=True)
    ids = torch.randint(5, VOCABULARY, (2 * PAIRS, tokens))

    def step() -> None:
        with around():
            first, second = F.normalize(encoder(ids, torch.ones_like(ids)), dim=1).chunk(2)
        logits = first @ second.T / TEMPERATURE
        optimizer.zero_grad()
        F.cross_entropy(logits, torch.arange(PAIRS)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def medians(steps: list[Step], repeats: int) -> list[float]:
    """Return the median seconds of each step, the variants alternating; the first few steps warm up."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(3 + repeats):
        for step, taken in zip(steps, seconds, strict=True):
            began = time.perf_counter()
            step()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[3:]) for taken in seconds]


def in_new_process(keep_memory: bool, repeats: int) -> float:
    """Return the median seconds of a step in a process that keeps freed memory, or does not."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_step_seconds, keep_memory, repeats).result()


def _step_seconds(keep_memory: bool, repeats: int) -> float:
    torch.set_num_threads(1)
    if keep_memory:
        keep_freed_memory()
    return medians([training_step()], repeats)[0]


def _whole_layer() -> AbstractContextManager[object]:
    return patch("agents.models.encoder.supports_first_token", lambda backbone: False)


def _autocast() -> AbstractContextManager[object]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


@contextmanager
def _softmax_in_bfloat16() -> Iterator[None]:
    with _autocast(), patch("agents.models.cpu.matmul_attention._LANES", 1):
        yield


def main(repeats: Annotated[int, typer.Option(help="Steps of each variant.")] = 40) -> None:
    """Time a training step with and without each optimisation; print a Markdown table."""
    torch.set_num_threads(1)
    rows: dict[str, list[float]] = {
        "freed memory is kept": [in_new_process(keep, repeats) for keep in (False, True)]
    }
    keep_freed_memory()
    variants = {
        "a byte per dropout draw": [training_step(byte_dropout=False), training_step()],
        "last layer at the first token": [
            training_step("cls", around=_whole_layer),
            training_step("cls"),
        ],
    }
    for preset in PRESETS_TIMED:
        flash = training_step(around=_autocast, preset=preset)
        products = training_step(around=_autocast, preset=preset, matmul_attention=True)
        variants |= {
            f"bfloat16, {preset}": [training_step(preset=preset), products],
            f"attention by products in bfloat16, {preset}": [flash, products],
        }
    for tokens in PARTS_OF_VECTORS:
        work: dict[str, Any] = {"preset": "nano", "matmul_attention": True, "tokens": tokens}
        variants[f"softmax in whole vectors of float32, nano, {tokens} tokens"] = [
            training_step(around=_softmax_in_bfloat16, **work),
            training_step(around=_autocast, **work),
        ]
    rows |= {name: medians(steps, repeats) for name, steps in variants.items()}
    table = [
        f"| {name} | {1e3 * before:.0f} | {1e3 * after:.0f} | {after / before:.2f} |"
        for name, (before, after) in rows.items()
    ]
    head = ["| optimisation | ms a step without | with | ratio |", "| --- | ---: | ---: | ---: |"]
    typer.echo(publish("cpu_step", [*head, *table]))


if __name__ == "__main__":
    typer.run(main)
