"""Measure start-up times: the help, the validation of a configuration, and Ray with two hosts.

``python -m experiments.benchmarks.startup``

Each row is the minimum and the median of a few runs, each in its own process. Python's bytecode is
cached in a folder that the first run fills, as in an installation. "Ready to train" is measured from the
blueprint to hosts that have built their agents. Ray starts while the corpus is prepared, as in every run
(`Runtime.ahead`); both together are measured as well.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agentos import RunConfig
from agentos.events import Listener
from agentos.runtime.ray.runtime import RayRuntime
from agentos.simulation.preparation import blueprint_of, prepare_corpus

RESULTS = Path(__file__).parents[1] / "results" / "startup.md"
COMMANDS: dict[str, tuple[Sequence[str], float]] = {
    "agentos --help": (("-m", "agentos.cli", "--help"), 0.3),
    "agentos validate quickstart": (("-m", "agentos.cli", "validate", "quickstart"), 1.0),
}
READY, READY_S = "two Ray hosts ready to train", 10.0
TOGETHER = "a small corpus prepared and two Ray hosts ready to train"


def timed(arguments: Sequence[str], environment: dict[str, str]) -> float:
    """Return the seconds that a Python process takes."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def ready_in(environment: dict[str, str], folder: Path) -> dict[str, float]:
    """Return the seconds until two hosts are ready, in its own process."""
    out = folder / "ready.json"
    arguments = ["-m", "experiments.benchmarks.startup", "--ready", str(out)]
    subprocess.run([sys.executable, *arguments], env=environment, check=True)
    seconds: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    return seconds


def measure_ready(out: Path) -> None:
    """Start Ray and two hosts for four agents in this process; write the seconds of each stage as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        texts = (" ".join(f"{word}{n % 7}" for n in range(20)) for word in range(1000, 1120))
        lines = [json.dumps({"text": text}) for text in texts]
        path = Path(folder) / "corpus.jsonl"
        path.write_text("\n".join(lines), encoding="utf-8")
        values: dict[str, Any] = {
            "data": {
                "source": {"kind": "jsonl", "path": str(path)},
                "anchors": 8,
                "tokenizer": {"vocabulary_size": 300},
            },
            "agents": {"count": 4},
            "evaluation": {"tasks": ["geometry"]},
        }
        config = RunConfig.model_validate(values)
        runtime = RayRuntime(hosts=2)
        began = time.perf_counter()
        with runtime.ahead() as wait:
            corpus = prepare_corpus(config, Listener(), Path(folder))
            blueprint = blueprint_of(config, corpus, Listener(), Path(folder))
            drawn = time.perf_counter()
            with runtime.open(agents=4, address=wait()) as session:
                opened = time.perf_counter()
                session.build(blueprint)
                ready = time.perf_counter()
    seconds = {
        "Ray started": opened - drawn,
        "hosts built": ready - opened,
        "all": ready - drawn,
        "whole": ready - began,
    }
    out.write_text(json.dumps(seconds), encoding="utf-8")


def main(
    repeats: Annotated[int, typer.Option(help="Runs of each.")] = 5,
    out: Annotated[Path, typer.Option(help="Table, in Markdown.")] = RESULTS,
    ready: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure how long AgentOS takes to start."""
    if ready is not None:
        measure_ready(ready)
        return
    rows = ["| what | minimum | median | bound |", "|---|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for name, (arguments, bound_s) in COMMANDS.items():
            taken = [timed(arguments, environment) for _ in range(1 + repeats)][1:]
            rows.append(_row(f"`{name}`", taken, bound_s))
        starts = [ready_in(environment, Path(folder)) for _ in range(1 + max(1, repeats // 2))][1:]
        rows.append(_row(READY, [each["all"] for each in starts], READY_S))
        for part in ("Ray started", "hosts built"):
            rows.append(_row(f"of it: {part}", [each[part] for each in starts], None))
        rows.append(_row(TOGETHER, [each["whole"] for each in starts], None))
    cores = os.cpu_count()
    head = f"# Start-up\n\n`python -m experiments.benchmarks.startup`, {cores} cores.\n\n"
    text = head + "\n".join(rows) + "\n"
    sys.stdout.write(text)
    out.write_text(text, encoding="utf-8")


def _row(name: str, taken: Sequence[float], bound_s: float | None) -> str:
    bound = "" if bound_s is None else f"{bound_s:g} s"
    return f"| {name} | {min(taken):.2f} s | {statistics.median(taken):.2f} s | {bound} |"


if __name__ == "__main__":
    typer.run(main)
