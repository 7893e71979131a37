"""Records that were changed, cut or replaced: every reader gives a `RecordError`, or what is there."""

from __future__ import annotations

import io
import json
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentos.cli.display.outcome_tables import show_outcome
from agentos.config.load import load
from agentos.records.saved_encoders import find_encoder
from agentos.reporting.comparison import compare, write_comparison
from agentos.reporting.report import write_report
from agentos.rounds.resumption import branch, resumption
from protocols.errors import AgentOSError

ODD: tuple[Any, ...] = (
    *(None, True, -1, 10**30, 10**400, 1e308, "x", "", "\x1b[2J\ud800", [], [1, [2]], {}, {"a": 1}),
)
TEXTS = (
    b"",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"round":' + b"9" * 5000 + b"}",
    b"[]",
    b"{}",
    b"null",
)


def changed(value: Any, choose: random.Random) -> Any:
    """Return a JSON value with one of its parts replaced or left out."""
    if isinstance(value, dict) and value and choose.random() < 0.9:
        key = choose.choice(sorted(value))
        rest = {name: part for name, part in value.items() if name != key}
        return rest if choose.random() < 0.3 else {**value, key: changed(value[key], choose)}
    if isinstance(value, list) and value and choose.random() < 0.8:
        index = choose.randrange(len(value))
        return [*value[:index], changed(value[index], choose), *value[index + 1 :]]
    return choose.choice(ODD)


def tamper(path: Path, choose: random.Random) -> None:
    content = path.read_bytes()
    way = choose.random()
    if way < 0.2:
        path.write_bytes(content[: choose.randrange(len(content) + 1)])
    elif way < 0.35:
        path.write_bytes(choose.choice(TEXTS))
    elif way < 0.45 or path.suffix not in (".json", ".jsonl"):
        at = choose.randrange(len(content) + 1)
        path.write_bytes(content[:at] + choose.randbytes(4) + content[at + 4 :])
    elif path.suffix == ".json":
        path.write_text(json.dumps(changed(json.loads(content), choose)))
    else:
        lines = content.decode().splitlines() or ["{}"]
        index = choose.randrange(len(lines))
        lines[index] = json.dumps(changed(json.loads(lines[index]), choose))
        path.write_text("\n".join(lines) + "\n")


def read_all(run: Path, whole: Path) -> None:
    for read in (
        lambda: write_report(run),
        lambda: write_comparison([run, whole], run.parent / "comparison.html"),
        lambda: compare([run, whole]).texts(),
        lambda: resumption(run, 1),
        lambda: branch(run, 1, 9, afresh=False),
        lambda: show_outcome(Console(file=io.StringIO()), run),
        lambda: find_encoder(run),
        lambda: load(str(run / "config.yaml")),
    ):
        with suppress(AgentOSError):
            read()


FILES = (
    *("config.yaml", "environment.json", "evaluation.json", "health.jsonl", "ledger.parquet"),
    *("metrics.jsonl", "network.json", "summary.json", "timings.jsonl", "similarity.json"),
    *("embeddings.safetensors", "isolated/metrics.jsonl", "checkpoints/manifest.json"),
)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_a_changed_record_is_read_or_refused(finished: Any, tmp_path: Path, file: str) -> None:
    choose = random.Random(file)
    for trial in range(4):
        run = tmp_path / str(trial)
        shutil.copytree(finished.directory, run, ignore=shutil.ignore_patterns("tensorboard"))
        path = run / file
        if file.startswith("checkpoints"):
            path = sorted(run.glob("checkpoints/*/manifest.json"))[-1]
        if path.exists():
            tamper(path, choose)
            read_all(run, finished.directory)


LINES = {
    "metrics.jsonl": [
        '{"round": 1, "agent": "agent-0", "loss": "<b>"}',
        '{"round": 1, "agent": "agent-0", "loss": [1]}',
        '{"round": true, "agent": "agent-0", "loss": 1}',
        '{"round": -5, "agent": "agent-0", "loss": 1}',
        '{"round": 1' + "0" * 30 + ', "agent": "agent-0"}',
        '{"round": 1, "agent": "agent-0", "loss": 1' + "0" * 400 + "}",
        '{"round": 1, "agent": "agent-0", "loss": ' + "[" * 100_000 + "}",
    ],
    "timings.jsonl": ['{"round": 1, "agent": "agent-0", "train_s": "x"}'],
    "summary.json": ["[" * 100_000, '{"status": ' + "9" * 5000 + "}", "[]"],
    "network.json": ['{"agents": Infinity, "family": "peer", "arrangement": "free"}'],
}


@pytest.mark.parametrize("file", LINES)
def test_a_value_that_no_run_writes_is_refused(finished: Any, tmp_path: Path, file: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run, ignore=shutil.ignore_patterns("tensorboard"))
    for line in LINES[file]:
        (run / file).write_text(line + "\n" + "{}\n" * file.endswith("jsonl"))
        with pytest.raises(AgentOSError) as error:
            write_report(run)
        assert error.value.hint
