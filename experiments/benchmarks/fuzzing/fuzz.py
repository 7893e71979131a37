"""Feed damaged and forged messages, records, folders and files to their readers, millions if need be.

``python -m experiments.benchmarks.fuzzing.fuzz --messages 1000000``

Valid messages of every kind of payload under every codec, states of agents, and the files of a run folder are
mutated (see `experiments.benchmarks.fuzzing.mutations`) and read. A reader may take an input, or refuse it
with the error that its callers expect; anything else, warnings included, is a finding: its bytes are kept,
and the program fails. So is a change of the disk outside the target's folder, and more time than a target
states. Memory is bounded by the operating system to little more than the program itself, so that an
allocation for a false claim ends as a `MemoryError`, which is a finding too.

Every mutation derives from the seed and its number, so a finding can be reproduced.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from experiments.benchmarks.fuzzing import fuzz_targets
from experiments.benchmarks.fuzzing.disk_steps import confined
from experiments.benchmarks.fuzzing.fuzz_targets import Target
from experiments.benchmarks.fuzzing.hostile_files import FILES
from experiments.benchmarks.fuzzing.hostile_folders import FOLDERS
from experiments.benchmarks.fuzzing.mutations import mutate
from protocols.seeding import generator

TARGETS: dict[str, Target] = {**fuzz_targets.TARGETS, **FILES, **FOLDERS}
BLOCK = 2_000
"""Inputs that one task of a worker makes and reads."""
WAIT_S = 600.0
"""Longest wait for a reader by the clock, on however busy a machine."""
RESULTS = Path(__file__).parents[2] / "results" / "fuzz.md"


@dataclass
class Outcome:
    """Outcomes of inputs.

    Attributes:
        counts: number of inputs by outcome.
        findings: the inputs on which a reader failed, and how.
        grown_mb: growth of the peak memory of the process.
        slowest_s: the processor's time for the input that took longest.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[bytes, str]] = field(default_factory=list)
    grown_mb: float = 0.0
    slowest_s: float = 0.0

    def add(self, other: Outcome) -> None:
        """Add the outcomes of other inputs."""
        self.counts.update(other.counts)
        self.findings.extend(other.findings)
        self.grown_mb = max(self.grown_mb, other.grown_mb)
        self.slowest_s = max(self.slowest_s, other.slowest_s)


class OutOfTime(BaseException):
    """An input took longer than its target may; no reader may catch this."""


def fuzz(name: str, seed: int, block: int, inputs: int = BLOCK, bounded: bool = False) -> Outcome:
    """Make the inputs of one block for a target, and read them.

    Args:
        name: the target's name; see `TARGETS`.
        seed, block: seed and block that the inputs derive from.
        inputs: number of inputs.
        bounded: let the operating system bound memory, and the wait for what never comes.
    """
    target, outcome = TARGETS[name], Outcome()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        touched = stack.enter_context(confined())
        samples, read = stack.enter_context(target.open())
        for kind, buffer in samples if bounded else ():  # imports all that reading needs
            with suppress(*target.refusals):  # some codecs leave too little of some payloads
                read(kind, buffer)
        touched.clear()  # libraries write caches of their own when they are first used
        warnings.simplefilter("error")
        if bounded:
            stack.enter_context(_bounded(target.headroom_mb))
        before = _largest_mb()
        rng = generator(seed, "fuzz", name, block)
        buffers = [buffer for _, buffer in samples]
        for _ in range(inputs):
            kind, buffer = samples[int(rng.integers(len(samples)))]
            mutated = mutate(buffer, rng, buffers, target.mutations)
            began = time.process_time()
            found = _outcome_of(target, read, kind, mutated, outcome, bounded)
            outcome.slowest_s = max(outcome.slowest_s, time.process_time() - began)
            if touched:
                outcome.findings.append((mutated, f"{kind}: outside its folder: {touched[:3]}"))
                found = "FAILED: outside"
                touched.clear()
            outcome.counts[found] += 1
        outcome.grown_mb = _largest_mb() - before
    return outcome


def _outcome_of(
    target: Target,
    read: Callable[[str, bytes], str],
    kind: str,
    data: bytes,
    outcome: Outcome,
    bounded: bool,
) -> str:
    try:
        with _in_time(target.most_s, bounded):
            return read(kind, data)
    except target.refusals as error:
        return f"refused: {getattr(error, 'reason', None) or type(error).__name__}"
    except BaseException as error:  # any other error is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        outcome.findings.append(
            (
                data,
                f"{kind}: {type(error).__name__}: {str(error)[:200]}, {where.filename}:{where.lineno}",
            )
        )
        return f"FAILED: {type(error).__name__}"


@contextmanager
def _in_time(most_s: float, bounded: bool) -> Iterator[None]:
    """Raise `OutOfTime` past so much of the processor's time, or, if bounded, past `WAIT_S` by the clock."""

    def stop(number: int, frame: object) -> None:
        raise OutOfTime(f"more than {most_s} s of the processor, or {WAIT_S} s by the clock")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, most_s)}
    if bounded:
        timers[signal.SIGALRM] = (signal.ITIMER_REAL, WAIT_S)
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0.0)
            signal.signal(number, before[number])


def main(
    messages: Annotated[int, typer.Option(help="Mutated messages.")] = 1_000_000,
    checkpoints: Annotated[int, typer.Option(help="Mutated states of agents.")] = 100_000,
    records: Annotated[int, typer.Option(help="Mutated files of a run folder.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of every mutation.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Table, in Markdown.")] = RESULTS,
    keep: Annotated[Path, typer.Option(help="Folder for findings.")] = Path("build/findings"),
) -> None:
    """Feed mutated messages, checkpoints and records to their readers; fail on any finding."""
    wanted = {"messages": messages, "checkpoints": checkpoints, "records": records}
    outcomes: dict[str, tuple[Outcome, float]] = {}
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for name, inputs in wanted.items():
            began, outcome = time.perf_counter(), Outcome()
            blocks = range(-(-inputs // BLOCK))
            sizes = [min(BLOCK, inputs - block * BLOCK) for block in blocks]
            each = ([value] * len(sizes) for value in (name, seed, True))
            names, seeds, bounded = each
            for done in pool.map(fuzz, names, seeds, blocks, sizes, bounded):
                outcome.add(done)
            outcomes[name] = outcome, time.perf_counter() - began
    text = table(outcomes, seed)
    sys.stdout.write(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    raise typer.Exit(kept([outcome for outcome, _ in outcomes.values()], keep))


def kept(outcomes: Iterable[Outcome], folder: Path) -> bool:
    """Write the first findings to a folder; return whether there are any."""
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    for number, (data, error) in enumerate(findings[:100]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.bin").write_bytes(data)
        (folder / f"{number}.txt").write_text(f"{error}\n", encoding="utf-8")
    return bool(findings)


def table(outcomes: dict[str, tuple[Outcome, float]], seed: int) -> str:
    """Return the outcomes of all inputs, in Markdown."""
    lines = [
        "# Fuzzing the readers of untrusted bytes",
        "",
        f"`python -m experiments.benchmarks.fuzzing.fuzz`, seed {seed}; memory bounded to "
        f"{TARGETS['messages'].headroom_mb} MB beyond the program. Failed: anything but the error that "
        "callers expect, warnings included.",
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


@contextmanager
def _bounded(headroom_mb: int) -> Iterator[None]:
    """Let the operating system refuse more memory than the program holds now, and some headroom."""
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + headroom_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _largest_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    typer.run(main)
