"""Targets of the fuzzer: run folders that were tampered with, links out of them, and folders of encoders."""

from __future__ import annotations

import io
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console

from agentos import Simulation
from agentos.cli.display.outcome_tables import show_outcome
from agentos.config.load import load
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.records.recorder import Recorder
from agentos.records.saved_encoders import find_encoder
from agentos.reporting.comparison import compare, write_comparison
from agentos.reporting.report import write_report
from agentos.rounds.resumption import branch, resumption
from agentos.web.run_records import RunRecords
from experiments.benchmarks.fuzzing.crash_points import config_of, write_corpus
from experiments.benchmarks.fuzzing.fuzz_targets import Read, Samples, Target
from experiments.benchmarks.fuzzing.hostile_files import seed
from experiments.benchmarks.fuzzing.mutations import BLIND, SAFETENSORS, TEXTUAL
from protocols.errors import AgentOSError

SMALL = 1 << 20
"""Bytes of the largest record that is mutated."""


def _claim(run: Path) -> None:
    with Recorder(run, overwrite=True) as recorder:
        recorder.claim()


def _go_on(run: Path) -> None:
    with Recorder(run) as recorder:
        recorder.go_on({"together": 1, "isolated": -1})


Reader = Callable[[Path, Path], object]
READERS: Sequence[Reader] = (
    lambda run, whole: write_report(run),
    lambda run, whole: write_comparison([run, whole], run.parent / "comparison.html"),
    lambda run, whole: compare([run, whole]).texts(),
    lambda run, whole: resumption(run, 1),
    lambda run, whole: branch(run, 1, 9, afresh=False),
    lambda run, whole: show_outcome(Console(file=io.StringIO()), run),
    lambda run, whole: find_encoder(run),
    lambda run, whole: load(str(run / "config.yaml")),
    lambda run, whole: RunRecords(run).read(),
)
"""Ways to use a run folder: each input goes one of them."""
CHANGES: Sequence[Reader] = (*READERS, lambda run, _: _go_on(run), lambda run, _: _claim(run))


def finished(folder: Path) -> Path:
    """Run four agents for two rounds, with a baseline and checkpoints; return the run folder, read once."""
    write_corpus(folder / "corpus.jsonl")
    fields = {
        "training": {"rounds": 2, "local_steps": 1, "batch_size": 12, "max_length": 16},
        "evaluation": {"every": 1, "tasks": ["geometry"], "documents": 40},
        "exchange": "anchor_contrast",
        "baseline": {"isolated": True},
        "checkpoints": {"every": 1, "keep": 9},
    }
    config = config_of(fields, folder / "corpus.jsonl")
    Simulation(config, folder / "whole", cache=folder / "cache").run()
    for reader in READERS:  # libraries write caches of their own when they are first used
        with suppress(AgentOSError):
            reader(folder / "whole", folder / "whole")
    return folder / "whole"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, by their names in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _one_of(readers: Sequence[Reader], data: bytes) -> Reader:
    return readers[zlib.crc32(data) % len(readers)]


@contextmanager
def _run_folders() -> Iterator[tuple[Samples, Read]]:
    with TemporaryDirectory() as name:
        whole, run = finished(Path(name)), Path(name) / "run"

        def read(kind: str, data: bytes) -> str:
            shutil.copytree(whole, run)
            try:
                (run / kind).write_bytes(data)
                _one_of(READERS, data)(run, whole)
            finally:
                shutil.rmtree(run)
            return "taken"

        files = contents(whole).items()
        yield [(kind, content) for kind, content in files if len(content) <= SMALL], read


@contextmanager
def _links() -> Iterator[tuple[Samples, Read]]:
    with TemporaryDirectory() as name:
        whole, run, victim = finished(Path(name)), Path(name) / "run", Path(name) / "victim"

        def read(kind: str, data: bytes) -> str:
            rng = np.random.default_rng(list(data))
            shutil.copytree(whole, run)
            victim.mkdir()
            try:
                _lead_out(run / kind, victim, int(rng.integers(4)))
                before = contents(victim)
                try:
                    CHANGES[int(rng.integers(len(CHANGES)))](run, whole)
                finally:
                    if contents(victim) != before:
                        raise AssertionError(f"{kind} led out of the folder, and was followed")
            finally:
                shutil.rmtree(run)
                shutil.rmtree(victim)
            return "taken"

        places = [str(path.relative_to(whole)) for path in sorted(whole.rglob("*"))]
        yield [(place, b"") for place in places], read


def _lead_out(place: Path, victim: Path, way: int) -> None:
    """Let a place in a run folder lead out of it: by a link, a second name, or a pipe."""
    kept = victim / "kept"
    shutil.move(place, kept)
    (victim / "precious").write_text("precious", encoding="utf-8")
    if way == 0 and kept.is_file():
        os.link(kept, place)
    elif way == 1:
        os.mkfifo(place)
    else:
        place.symlink_to(kept if way == 2 else victim)


@contextmanager
def _encoders() -> Iterator[tuple[Samples, Read]]:
    with TemporaryDirectory() as name:
        encoder = finished(Path(name)) / "encoders" / "agent-0"
        whole = contents(encoder)

        def read(kind: str, data: bytes) -> str:
            (encoder / kind).write_bytes(data)
            try:
                LoadedEncoder.load(str(encoder)).embed(["a w1 text", ""])
            finally:
                (encoder / kind).write_bytes(whole[kind])
            return "taken"

        yield list(whole.items()), read


FOLDERS = {
    "run folders": Target(_run_folders, (AgentOSError,), (*BLIND, *TEXTUAL), 20.0, 1024),
    "links": Target(_links, (AgentOSError,), (seed,), 20.0, 1024),
    "encoders": Target(_encoders, (AgentOSError,), (*SAFETENSORS, *TEXTUAL), 20.0, 2048),
}
