"""Measure time and memory of preparing and tokenising a corpus that is larger than memory.

``python -m experiments.benchmarks.large_corpus --gigabytes 5``

The text consists of sentences from the docstrings of installed libraries, drawn anew for every document;
some documents are duplicates or near duplicates, some are too short, some lines are corrupt. A fresh process
then does all that a run does before it trains: read, clean, drop duplicates and near duplicates, split,
divide among agents, train a tokenizer on a sample, and tokenise everything.

Resident memory includes pages of mapped files, which the system reclaims when it needs them; anonymous memory
is what the process holds on to. Both are reported.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from agentos.data.cleaning.clean import clean
from agentos.data.config import DataConfig
from agentos.data.corpus import prepare
from agentos.data.partition import Dirichlet
from agentos.data.sources.delimited import Jsonl
from agentos.data.sources.docstrings import Docstrings
from agentos.data.tokenization.corpus_tokens import corpus_tokens, tokenizer_for
from agentos.data.tokenization.sentences import split_sentences
from protocols.seeding import generator

MEAN_CHARACTERS, SPREAD = 6_000, 0.7
POOL_SENTENCES = 100_000
BLOCK_DOCUMENTS = 2_000


def write_corpus(path: Path, size_bytes: int, seed: int = 0) -> None:
    """Write at least `size_bytes` bytes of JSON lines of recombined sentences.

    Documents have log-normal lengths. In every thousand, 10 repeat one of the previous 2,000, 10 repeat one
    with a word added, 5 have two words, and 1 is a truncated line.
    """
    pool = _sentences()
    lengths = np.array([len(sentence) for sentence in pool])
    rng = generator(seed, "large corpus")
    written = 0
    with path.open("w", encoding="utf-8") as stream:
        while written < size_bytes:
            texts = []
            sizes = rng.lognormal(np.log(MEAN_CHARACTERS) - SPREAD**2 / 2, SPREAD, BLOCK_DOCUMENTS)
            for size in sizes / lengths.mean():
                chosen = rng.integers(len(pool), size=max(3, int(size)))
                texts.append(" ".join([pool[i] for i in chosen]))
            for number, kind in enumerate(
                rng.permutation(BLOCK_DOCUMENTS) // (BLOCK_DOCUMENTS // 1000)
            ):
                text = texts[number]
                if kind < 20:
                    text = texts[number // 2] + (" Indeed." if kind < 10 else "")
                elif kind < 25:
                    text = "Two words."
                line = json.dumps(
                    {"text": text, "label": f"topic-{number % 20}"}, ensure_ascii=False
                )
                written += stream.write((line[:-9] if kind == 25 else line) + "\n")


def _sentences() -> list[str]:
    pool: list[str] = []
    for document in Docstrings().documents():
        pool += [" ".join(part.split()) for part in split_sentences(clean(document.text))]
        if len(pool) >= POOL_SENTENCES:
            break
    return [sentence for sentence in pool if len(sentence) > 20]


class Peaks:
    """Samples the resident and the anonymous memory of this process ten times a second (Linux)."""

    def __init__(self) -> None:
        self.anonymous = self.resident = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "RssAnon":
                    self.anonymous = max(self.anonymous, int(value.split()[0]))
                elif name == "VmRSS":
                    self.resident = max(self.resident, int(value.split()[0]))
            time.sleep(0.1)

    def take(self) -> dict[str, float]:
        """Return the peaks since the last call, in megabytes."""
        taken = {"anonymous_mb": self.anonymous / 1e3, "resident_mb": self.resident / 1e3}
        self.anonymous = self.resident = 0
        return taken


def measure(path: Path, cache: Path, agents: int) -> dict[str, Any]:
    """Prepare and tokenise the corpus in this process; return counts, times and memory of each stage."""
    source = Jsonl(path=str(path), label="label")
    config = DataConfig(source=source, partition=Dirichlet(), on_bad_record="skip")
    peaks, stages = Peaks(), {}

    def begin() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def finished(stage: str, began: tuple[float, float]) -> None:
        seconds, cpu = (now - then for now, then in zip(begin(), began, strict=True))
        stages[stage] = {"seconds": seconds, "cpu_seconds": cpu, **peaks.take()}

    began = begin()
    corpus = prepare(config, agents=agents, seed=0, cache=cache)
    finished("read, clean, deduplicate, partition", began)
    began = begin()
    tokenizer = tokenizer_for(corpus, config.tokenizer, 0, cache)
    finished("train the tokenizer on a sample", began)
    began = begin()
    tokens = corpus_tokens(corpus, tokenizer, cache, config.max_document_tokens)
    finished("tokenise", began)
    counts = {
        **corpus.counts,
        "tokens": int(tokens.lengths.sum()),
        "sentences": int(tokens.sentence_counts.sum()),
    }
    # Kilobytes on Linux. Mapped pages count.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"counts": counts, "stages": stages, "peak_resident_mb": peak_mb}


def main(
    gigabytes: Annotated[float, typer.Option(help="Size of the text.")] = 5.0,
    agents: Annotated[int, typer.Option(help="Agents that the text is divided among.")] = 20,
    folder: Annotated[
        Path | None, typer.Option(help="Where to write the text; a temporary folder by default.")
    ] = None,
    measured: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Write a corpus, prepare and tokenise it in a fresh process, and print time and memory.

    Example: python -m experiments.benchmarks.large_corpus --gigabytes 0.1
    """
    if measured is not None:
        typer.echo(json.dumps(measure(measured / "corpus.jsonl", measured / "cache", agents)))
        return
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place, "corpus.jsonl")
        write_corpus(path, int(gigabytes * 1e9))
        command = [sys.executable, "-m", "experiments.benchmarks.large_corpus"]
        done = subprocess.run(
            [*command, "--measured", place, "--agents", str(agents)],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        typer.echo(page(json.loads(done.stdout), path.stat().st_size))


def page(result: dict[str, Any], size_bytes: int) -> str:
    """Return the measurement as a Markdown page."""
    rows = [
        f"| {stage} | {m['seconds']:.0f} | {m['cpu_seconds']:.0f} | "
        f"{size_bytes / 1e6 / m['seconds']:.1f} | "
        f"{m['resident_mb']:.0f} | {m['anonymous_mb']:.0f} |"
        for stage, m in result["stages"].items()
    ]
    seconds = sum(m["seconds"] for m in result["stages"].values())
    counts = ", ".join(f"{name} {count:,}" for name, count in result["counts"].items() if count)
    return "\n".join(
        [
            f"{size_bytes / 1e9:.2f} GB of text in {seconds / 60:.1f} minutes; peak resident memory "
            f"{result['peak_resident_mb']:,.0f} MB, mapped pages included.",
            "",
            f"Counts: {counts}.",
            "",
            "| stage | seconds | CPU seconds | MB of text/s | peak resident MB | anonymous part MB |",
            "|---|---:|---:|---:|---:|---:|",
            *rows,
        ]
    )


if __name__ == "__main__":
    typer.run(main)
