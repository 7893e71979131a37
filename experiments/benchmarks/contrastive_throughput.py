"""Compare the pairs per second of contrastive training with sentence-transformers' trainer.

    python -m experiments.benchmarks.contrastive_throughput --out throughput.md

Both train the same encoder (the preset tiny, saved once and loaded by both, so with the same dropout) with
in-batch negatives, temperature 0.05, AdamW, batch 64 and texts of 32 tokens, on the docstrings of installed
libraries and on the same cores. The peer tokenises pairs of strings as it goes; AgentOS tokenises documents
before the first step and crops pairs from them in the background. It runs as one agent on all threads, and as
one agent per core, each on a host of one thread. Start-up, preparation and the first half of the steps are
left out on both sides. The sides alternate; medians are compared.

Needs the extra ``peers``: pip install 'llm-agentos[peers]'.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.events import Listener
from agentos.runtime.host_calls import Begin, SaveEncoders, Train
from agentos.runtime.local import LocalRuntime
from agentos.simulation.preparation import blueprint_of, prepare_corpus
from agents.exchange.isolated import Isolated
from agents.training.blueprint import Arm
from protocols.seeding import generator

BATCH, LENGTH, TEMPERATURE, LEARNING_RATE = 64, 32, 0.05, 1e-3
WORDS = 24
"""Words in a text of the peer; more tokens than its maximum length."""


@dataclass(frozen=True)
class Setting:
    """A precision, the threads of each side, and the timed steps."""

    precision: str
    threads: int
    steps: int


def configuration(encoder: dict[str, Any], setting: Setting, agents: int = 1) -> RunConfig:
    """Return a run of one agent on all threads, or of several agents on single-threaded hosts."""
    alone = {"kind": "local", "threads": setting.threads}
    return RunConfig.model_validate(
        {
            "data": {"anchors": 0, "minimum_words": WORDS, "limit": 12_000},
            "agents": {"count": agents, "encoder": encoder},
            "topology": "complete",
            "exchange": "isolated",
            "objectives": [
                {
                    "kind": "info_nce",
                    "direction": "first",
                    "temperature": TEMPERATURE,
                    # Whole documents, cut at max_length: as long as the peer's texts.
                    "views": [{"kind": "crop", "shortest": 1.0, "longest": 1.0}],
                }
            ],
            "training": {
                "local_steps": setting.steps,
                "batch_size": BATCH,
                "max_length": LENGTH,
                "learning_rate": LEARNING_RATE,
                "precision": setting.precision,
            },
            "evaluation": {"tasks": ["geometry"]},
            "runtime": alone if agents == 1 else {"kind": "ray", "hosts": agents, "threads": 1},
        }
    )


def ours(encoder: Path, setting: Setting, agents: int) -> float:
    """Return the pairs per second of AgentOS, over all agents."""
    config = configuration({"path": str(encoder)}, setting, agents)
    blueprint = blueprint_of(config, prepare_corpus(config, Listener()), Listener())
    with config.runtime.start(blueprint) as session:
        session.call_all(Begin(Arm(Isolated(), 0.0)))
        session.call_all(Train(1))
        began = time.perf_counter()
        session.call_all(Train(2))
        return agents * setting.steps * BATCH / (time.perf_counter() - began)


def theirs(encoder: Path, corpus: Corpus, setting: Setting) -> float:
    """Return the pairs per second of sentence-transformers' trainer."""
    torch.set_num_threads(setting.threads)
    model = SentenceTransformer(str(encoder), device="cpu")
    model.max_seq_length = LENGTH
    first, second = _pairs(corpus, 2 * setting.steps * BATCH)
    clock = _Clock(setting.steps)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(encoder / "peer"),
            per_device_train_batch_size=BATCH,
            max_steps=2 * setting.steps,
            learning_rate=LEARNING_RATE,
            bf16=setting.precision == "bf16",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({"anchor": first, "positive": second}),
        loss=MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE),
        callbacks=[clock.callback()],
    )
    trainer.train()
    return setting.steps * BATCH / clock.seconds


class _Clock:
    """Times the second half of a trainer's steps."""

    def __init__(self, half: int) -> None:
        self.half = half
        self.began = self.seconds = 0.0

    def callback(self) -> Any:
        clock = self

        class Timed(TrainerCallback):  # type: ignore[misc,unused-ignore]
            """Records the time after the first half and at the end."""

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == clock.half:
                    clock.began = time.perf_counter()
                elif state.global_step == 2 * clock.half:
                    clock.seconds = time.perf_counter() - clock.began

        return Timed()


def _pairs(corpus: Corpus, count: int) -> tuple[list[str], list[str]]:
    """Return two crops of consecutive words per pair, cycling through the documents."""
    rng = generator(0, "pairs")
    texts = corpus.texts(corpus.train[: min(count, len(corpus.train))])
    sides: tuple[list[str], list[str]] = ([], [])
    for number in range(count):
        words = texts[number % len(texts)].split()
        for side in sides:
            start = int(rng.integers(0, max(1, len(words) - WORDS + 1)))
            side.append(" ".join(words[start : start + WORDS]))
    return sides


def prepared(folder: Path, setting: Setting) -> Corpus:
    """Save the encoder that both sides load; return the corpus that both read."""
    config = configuration({"preset": "tiny"}, setting)
    corpus = prepare_corpus(config, Listener())
    with LocalRuntime().start(blueprint_of(config, corpus, Listener())) as session:
        session.call_all(Begin(Arm(Isolated(), 0.0)))
        session.call_all(SaveEncoders({0: folder}))
    return corpus


def compare(precision: str, threads: int, steps: int, repeats: int, folder: Path) -> str:
    """Measure all sides alternately; return a row of the table."""
    setting = Setting(precision, threads, steps)
    corpus = prepared(folder, setting)
    sides: dict[str, Callable[[], float]] = {
        "theirs": lambda: theirs(folder, corpus, setting),
        "one": lambda: ours(folder, setting, 1),
        "several": lambda: ours(folder, setting, threads),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, measure in sides.items():
            rates[name].append(measure())
    peer, one, several = (statistics.median(rates[name]) for name in sides)
    ratios = f"{one:.0f} ({one / peer:.2f}) | {several:.0f} ({several / peer:.2f})"
    return f"| {precision} | {peer:.0f} | {ratios} |"


def main(
    steps: Annotated[int, typer.Option(help="Timed steps of each turn.")] = 20,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 3,
    threads: Annotated[int, typer.Option(help="Threads of each side.")] = 2,
    precisions: Annotated[str, typer.Option(help="Precisions of the forward pass.")] = "fp32,bf16",
    out: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Compare contrastive training with sentence-transformers' trainer; print a Markdown table."""
    own = f"one agent on {threads} threads | {threads} agents of one thread"
    rows = [f"| pairs per second (ratio) | sentence-transformers | {own} |"]
    rows.append("| --- | --- | --- | --- |")
    for precision in precisions.split(","):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(compare(precision, threads, steps, repeats, Path(folder)))
        typer.echo(rows[-1], err=True)
    typer.echo("\n".join(rows))
    if out is not None:
        out.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
