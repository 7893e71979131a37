"""Feed millions of damaged and forged messages, checkpoints and records to their readers.

``python -m experiments.benchmarks.fuzzing.fuzz --messages 1000000``

Valid messages of every kind of payload under every codec, states of agents, and the files of a run folder are
mutated (see `experiments.benchmarks.fuzzing.mutations`) and read. A reader may take an input, or refuse it
with the error that its callers expect; anything else, warnings included, is a finding: its bytes are kept,
and the program fails. Memory is bounded by the operating system to little more than the program itself, so
that an allocation for a false claim ends as a `MemoryError`, which is a finding too.

Every mutation derives from the seed and its number, so a finding can be reproduced.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks.fuzzing.fuzz_targets import TARGETS, Target
from experiments.benchmarks.fuzzing.mutations import mutate
from protocols.seeding import generator

BLOCK = 2_000
"""Inputs that one task of a worker makes and reads."""
HEADROOM_MB = 256
"""Memory that readers may take in addition to the program's own before the first input."""
RESULTS = Path(__file__).parents[1] / "results" / "fuzz.md"


@dataclass
class Outcome:
    """Outcomes of inputs.

    Attributes:
        counts: number of inputs by outcome.
        findings: the inputs on which a reader failed, and how.
        grown_mb: growth of the peak memory of the process.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[bytes, str]] = field(default_factory=list)
    grown_mb: float = 0.0

    def add(self, other: Outcome) -> None:
        """Add the outcomes of other inputs."""
        self.counts.update(other.counts)
        self.findings.extend(other.findings)
        self.grown_mb = max(self.grown_mb, other.grown_mb)


def fuzz(name: str, seed: int, block: int, inputs: int = BLOCK) -> Outcome:
    """Make the inputs of one block for a target, and read them.

    Args:
        name: the target's name; see `TARGETS`.
        seed, block: seed and block that the inputs derive from.
        inputs: number of inputs.
    """
    target, outcome = TARGETS[name], Outcome()
    with warnings.catch_warnings(), target.open() as (samples, read):
        warnings.simplefilter("error")
        before = _largest_mb()
        rng = generator(seed, "fuzz", name, block)
        buffers = [buffer for _, buffer in samples]
        for _ in range(inputs):
            kind, buffer = samples[int(rng.integers(len(samples)))]
            mutated = mutate(buffer, rng, buffers, target.mutations)
            outcome.counts[_outcome_of(target, read, kind, mutated, outcome)] += 1
        outcome.grown_mb = _largest_mb() - before
    return outcome


def _outcome_of(
    target: Target, read: Callable[[str, bytes], str], kind: str, data: bytes, outcome: Outcome
) -> str:
    try:
        return read(kind, data)
    except target.refusals as error:
        return f"refused: {getattr(error, 'reason', None) or type(error).__name__}"
    except BaseException as error:  # any other error is a finding
        outcome.findings.append((data, f"{kind}: {type(error).__name__}: {str(error)[:200]}"))
        return f"FAILED: {type(error).__name__}"


def main(
    messages: Annotated[int, typer.Option(help="Mutated messages.")] = 1_000_000,
    checkpoints: Annotated[int, typer.Option(help="Mutated states of agents.")] = 100_000,
    records: Annotated[int, typer.Option(help="Mutated files of a run folder.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of every mutation.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Table, in Markdown.")] = RESULTS,
    keep: Annotated[Path, typer.Option(help="Folder for findings.")] = Path("findings"),
) -> None:
    """Feed mutated messages, checkpoints and records to their readers; fail on any finding."""
    wanted = {"messages": messages, "checkpoints": checkpoints, "records": records}
    outcomes: dict[str, tuple[Outcome, float]] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn"), _bound_memory) as pool:
        for name, inputs in wanted.items():
            began, outcome = time.perf_counter(), Outcome()
            blocks = range(-(-inputs // BLOCK))
            sizes = [min(BLOCK, inputs - block * BLOCK) for block in blocks]
            names, seeds = [name] * len(sizes), [seed] * len(sizes)
            for done in pool.map(fuzz, names, seeds, blocks, sizes):
                outcome.add(done)
            outcomes[name] = outcome, time.perf_counter() - began
    text = table(outcomes, seed)
    sys.stdout.write(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    findings = [finding for outcome, _ in outcomes.values() for finding in outcome.findings]
    for number, (data, error) in enumerate(findings[:100]):
        keep.mkdir(exist_ok=True)
        (keep / f"{number}.bin").write_bytes(data)
        (keep / f"{number}.txt").write_text(f"{error}\n", encoding="utf-8")
    raise typer.Exit(1 if findings else 0)


def table(outcomes: dict[str, tuple[Outcome, float]], seed: int) -> str:
    """Return the outcomes of all inputs, in Markdown."""
    lines = [
        "# Fuzzing the readers of untrusted bytes",
        "",
        f"`python -m experiments.benchmarks.fuzzing.fuzz`, seed {seed}; memory bounded to {HEADROOM_MB} MB "
        "beyond the program. Failed: anything but the error that callers expect, warnings included.",
        "",
        "| what | inputs | taken | refused | failed | memory grew by | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, (outcome, seconds) in outcomes.items():
        total, taken = outcome.counts.total(), _sum(outcome, "taken")
        refused, failed = _sum(outcome, "refused"), len(outcome.findings)
        lines.append(
            f"| {name} | {total:,} | {taken:,} | {refused:,} | {failed:,} | "
            f"{outcome.grown_mb:.0f} MB | {seconds:.0f} |"
        )
    for name, (outcome, _) in outcomes.items():
        lines += ["", f"Outcomes of {name}:", "", "| outcome | inputs |", "|---|---:|"]
        lines += [f"| {what} | {count:,} |" for what, count in outcome.counts.most_common()]
    return "\n".join(lines) + "\n"


def _sum(outcome: Outcome, beginning: str) -> int:
    return sum(n for what, n in outcome.counts.items() if what.startswith(beginning))


def _bound_memory() -> None:
    """Let the operating system refuse more memory than the program holds now, and some headroom."""
    for target in TARGETS.values():
        with target.open() as (samples, read):  # import and allocate everything that reading needs
            for kind, buffer in samples:
                with suppress(*target.refusals):  # some codecs leave too little of some payloads
                    read(kind, buffer)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + HEADROOM_MB * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _largest_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    typer.run(main)
