"""End a run at any of its steps on the disk, let it go on, and compare it with one that was never ended.

``python -m experiments.benchmarks.fuzzing.crash_points --points 40``

A run changes its folder in steps: files opened for writing, renamed, removed, folders made. A child process
takes these steps and dies before one of them as if by ``kill -9``, with its hosts if they are its own. The
run then resumes from what is on the disk, or starts again where nothing was kept, and must end with the same
metrics, byte for byte. Settings: every exchange, an asynchronous clock, and two hosts of Ray.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

import agentos.simulation.arms
from agentos import RunConfig, Simulation
from agentos.rounds.resumption import resumption
from agents.exchange import EXCHANGES
from experiments.benchmarks.fuzzing.disk_steps import counted
from protocols.errors import RecordError
from protocols.seeding import generator

RESULTS = Path(__file__).parents[2] / "results" / "crash_points.md"
KILLED, TIMEOUT_S = 137, 900.0
NEEDS: dict[str, dict[str, Any]] = {
    "pseudo_labels": {"classes": 4, "confidence": 0.0},
    "secure_pseudo_labels": {"classes": 4, "confidence": 0.0},
    "fedmd": {"classes": 4},
    "dsfl": {"classes": 4},
    "prototypes": {"centroids": 4, "sample": 16},
    "fedproto": {"classes": 4},
    "cross_negatives": {"shares_private_embeddings": True},
    "hybrid": {"strategies": [{"fedavg": {"every": 2}}, "anchor_contrast"]},
}
"""Fields without which an exchange does not work on a small corpus."""
ASYNCHRONOUS = {
    "mode": {"kind": "asynchronous", "staleness": 2},
    "work": "tokens",
    "speed": {"uniform": {"low": 100, "high": 1000}},
    "latency_s": {"log_normal": {"median": 0.1}},
}


@dataclass(frozen=True)
class Tried:
    """A run that was ended at a step and went on.

    Attributes:
        setting: what ran.
        step, steps: the step that it did not take, of how many.
        outcome: same, or what was wrong.
    """

    setting: str
    step: int
    steps: int
    outcome: str


def settings() -> dict[str, dict[str, Any]]:
    """Return the settings by name: fields of the configuration."""
    found: dict[str, dict[str, Any]] = {
        kind: {"exchange": {"kind": kind, **NEEDS.get(kind, {})}} for kind in EXCHANGES
    }
    for kind in ("secure_fedavg", "secure_pseudo_labels"):
        found[kind]["topology"] = "master_slave"
    found["asynchronous"] = {"exchange": "fedavg", "clock": ASYNCHRONOUS}
    found["ray"] = {"exchange": "anchor_contrast", "runtime": {"kind": "ray", "hosts": 2}}
    return found


def config_of(fields: dict[str, Any], corpus: Path) -> RunConfig:
    """Make the configuration of a run that takes about a second, with a checkpoint after each round."""
    values: dict[str, Any] = {
        "name": "crash",
        "data": {
            "source": {"kind": "jsonl", "path": str(corpus), "label": "label"},
            "anchors": 32,
            "heldout": 0.25,
            "tokenizer": {"vocabulary_size": 300},
        },
        "agents": {"count": 4, "encoder": {"preset": "nano"}},
        "training": {"rounds": 3, "local_steps": 1, "batch_size": 12, "max_length": 16},
        "evaluation": {"every": 3, "tasks": ["geometry"], "documents": 40, "between_agents": False},
        "baseline": {"isolated": False},
        "checkpoints": {"every": 1},
        "runtime": "local",
    }
    return RunConfig.model_validate({**values, **fields})


def write_corpus(path: Path) -> None:
    """Write 160 short texts of four classes, a line of JSON each."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for row in range(160):
            words = [f"w{row % 4}{word}" for word in rng.integers(0, 12, rng.integers(8, 30))]
            file.write(json.dumps({"text": " ".join(words), "label": f"c{row % 4}"}) + "\n")


def in_child(work: Callable[[], object]) -> tuple[int, str]:
    """Do work in a process of its own; return its exit code, and what it wrote."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setpgid(0, 0)
        code = 1
        try:
            with (
                open(os.devnull, "w") as nowhere,
                redirect_stdout(nowhere),
                redirect_stderr(nowhere),
            ):
                text = str(work())
            code = 0
        except BaseException as error:  # told to the parent, which counts it
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        os.write(write, text.encode()[:4000])
        os._exit(code)
    os.close(write)
    return _ended(child, time.monotonic() + TIMEOUT_S), _read_all(read)


def _ended(child: int, deadline: float) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return -9
        time.sleep(0.02)


def _read_all(descriptor: int) -> str:
    """Read what is there: a host that outlives its driver may hold the other end for a while."""
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 4096).decode("utf-8", "replace")
    except BlockingIOError:
        return ""
    finally:
        os.close(descriptor)


def run_to(config: RunConfig, out: Path, cache: Path, last: int | None) -> int:
    """Run in a folder, and die before a step; return the number of steps."""
    steps = counted(out, last, KILLED)
    Simulation(config, out, cache=cache).run()
    return steps()


def go_on(config: RunConfig, out: Path, cache: Path) -> str:
    """Continue the run in a folder, or begin it where nothing was kept; return which."""
    try:
        start = resumption(out)
    except RecordError as error:
        if "has finished" in str(error):
            return "finished"
        Simulation(config, out, cache=cache).run()
        return "begun"
    Simulation(config, out, cache=cache).run(start)
    return "resumed"


def metrics_of(folder: Path) -> bytes:
    """Return the metrics of a run."""
    return (folder / "metrics.jsonl").read_bytes()


def try_setting(name: str, points: int, seed: int, folder: Path) -> list[Tried]:
    """End the runs of a setting at steps drawn without replacement."""
    corpus, cache = folder / "corpus.jsonl", folder / "cache"
    config = config_of(settings()[name], corpus)
    whole = folder / name / "whole"
    code, said = in_child(lambda: run_to(config, whole, cache, None))
    if code != 0:
        return [Tried(name, 0, 0, f"the whole run failed: {said}")]
    steps, expected, found = int(said), metrics_of(whole), []
    drawn = generator(seed, "crash", name).permutation(steps)[:points] + 1
    for step in sorted(int(each) for each in drawn):
        out = folder / name / f"{step}"
        code, said = in_child(lambda out=out, step=step: run_to(config, out, cache, step))  # type: ignore[misc]
        outcome = "same"
        if code not in (KILLED, 0):
            outcome = f"before the step: {said or code}"
        else:
            code, said = in_child(lambda out=out: go_on(config, out, cache))  # type: ignore[misc]
            if code != 0:
                outcome = f"afterwards: {said or code}"
            elif metrics_of(out) != expected:
                outcome = f"other metrics, {said}"
        found.append(Tried(name, step, steps, outcome))
    return found


def without_reports() -> None:
    """Leave out the reports of this process's runs, which are drawn last, from the records."""
    logging.disable(logging.WARNING)
    setattr(agentos.simulation.arms, "write_report", Path)  # noqa: B010


def main(
    points: Annotated[int, typer.Option(help="Steps of each setting at which it is ended.")] = 40,
    only: Annotated[list[str] | None, typer.Option(help="Settings; default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed that draws the steps.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Table, in Markdown.")] = RESULTS,
) -> None:
    """End runs at steps of theirs, continue them, and fail if any ends otherwise."""
    without_reports()
    tried: list[Tried] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder / "corpus.jsonl")
        for setting in only or settings():
            tried += try_setting(setting, points, seed, folder)
            sys.stdout.write(f"{setting}: {_counts(tried, setting)}\n")
            sys.stdout.flush()
            if out is not None:
                out.write_text(table(tried, points, seed), encoding="utf-8")
    raise typer.Exit(any(each.outcome != "same" for each in tried))


def _counts(tried: list[Tried], setting: str) -> tuple[int, int, int]:
    own = [each for each in tried if each.setting == setting]
    return own[0].steps, len(own), sum(each.outcome == "same" for each in own)


def table(tried: list[Tried], points: int, seed: int) -> str:
    """Return the outcomes by setting, in Markdown."""
    lines = [
        "# Runs that die at a step on the disk, and go on",
        "",
        f"`python -m experiments.benchmarks.fuzzing.crash_points --points {points} --seed {seed}`: runs of "
        "three rounds with a checkpoint after each, killed before a step that changes their folder, then "
        "resumed or begun again. "
        "Same: the metrics are those of a run that was never killed, byte for byte.",
        "",
        "| setting | steps of a run | killed | same | otherwise |",
        "|---|---:|---:|---:|---:|",
    ]
    for setting in dict.fromkeys(each.setting for each in tried):
        steps, killed, same = _counts(tried, setting)
        lines.append(f"| {setting} | {steps} | {killed} | {same} | {killed - same} |")
    same = sum(each.outcome == "same" for each in tried)
    lines.append(f"| all | | {len(tried)} | {same} | {len(tried) - same} |")
    wrong = [each for each in tried if each.outcome != "same"]
    lines += ["", *(f"- {each.setting}, step {each.step}: {each.outcome}" for each in wrong)]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    typer.run(main)
