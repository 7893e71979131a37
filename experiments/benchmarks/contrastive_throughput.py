"""Pairs per second of contrastive training, beside sentence-transformers' trainer.

    python -m experiments.benchmarks.contrastive_throughput --out throughput.md

Both train the same encoder (the preset tiny, saved once and loaded by both, so with the same dropout) with
in-batch negatives, temperature 0.05, AdamW, batch 64 and texts of 32 tokens, on the docstrings of installed
libraries and on the same cores. The peer reads pairs of strings and tokenises them as it goes; this program
reads documents that it has tokenised before the first step, and crops pairs from them in the background. It
runs as one agent on all threads, and as one agent a core, on a host of one thread each. Start-up, preparation
and the first half of the steps are left out on both sides. The sides take turns; medians are compared.

Needs the extra ``peers``: pip install 'llm-agentos[peers]'.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.config.run import RunConfig
from agentos.events import Listener
from agentos.preparation import blueprint_of, prepare_corpus
from agentos.runtime.host_calls import Begin, SaveEncoders, Train

if TYPE_CHECKING:
    from agentos.data.corpus import Corpus

BATCH, LENGTH, TEMPERATURE, LEARNING_RATE = 64, 32, 0.05, 1e-3
WORDS = 24
"""Words of a peer's text: more tokens than it reads."""


@dataclass(frozen=True)
class Setting:
    """One precision on some threads."""

    precision: str
    threads: int
    steps: int


def configuration(encoder: dict[str, Any], setting: Setting, agents: int = 1) -> RunConfig:
    """Return the run of one agent on all threads, or of several with a host of one thread each."""
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
                    # As long as the peer's texts: all that the encoder reads.
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
    """Return this program's pairs per second, of all agents together."""
    from agents.exchange.isolated import Isolated
    from agents.training.blueprint import Arm

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
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss

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
        from transformers import TrainerCallback

        clock = self

        class Timed(TrainerCallback):  # type: ignore[misc,unused-ignore]
            """Looks at the time after the first half and at the end."""

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == clock.half:
                    clock.began = time.perf_counter()
                elif state.global_step == 2 * clock.half:
                    clock.seconds = time.perf_counter() - clock.began

        return Timed()


def _pairs(corpus: Corpus, count: int) -> tuple[list[str], list[str]]:
    """Crop two runs of words from each document, some documents more than once."""
    from protocols.seeding import generator

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
    """Save the encoder that both load; return the corpus that both read."""
    from agentos.runtime.local import LocalRuntime
    from agents.exchange.isolated import Isolated
    from agents.training.blueprint import Arm

    config = configuration({"preset": "tiny"}, setting)
    corpus = prepare_corpus(config, Listener())
    with LocalRuntime().start(blueprint_of(config, corpus, Listener())) as session:
        session.call_all(Begin(Arm(Isolated(), 0.0)))
        session.call_all(SaveEncoders({0: folder}))
    return corpus


def compare(precision: str, threads: int, steps: int, repeats: int, folder: Path) -> str:
    """Take turns; return a row of the table."""
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
    told = f"{one:.0f} ({one / peer:.2f}) | {several:.0f} ({several / peer:.2f})"
    return f"| {precision} | {peer:.0f} | {told} |"


def main(
    steps: Annotated[int, typer.Option(help="Steps that are timed, each time.")] = 20,
    repeats: Annotated[int, typer.Option(help="Turns of each side.")] = 3,
    threads: Annotated[int, typer.Option(help="Threads of each side.")] = 2,
    precisions: Annotated[str, typer.Option(help="Of the forward pass.")] = "fp32,bf16",
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
