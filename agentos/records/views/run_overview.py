"""Runs at a glance: status, progress and the metric that counts, without reading all of their records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from agentos.data.printable_text import printable
from agentos.data.yaml_text import parse_yaml
from agentos.data.yaml_values import Loader
from agentos.records.atomic_files import damaged, reading
from agentos.records.identity.folder_lock import Holder
from agentos.records.identity.removal import is_run_folder
from agentos.records.identity.run_process import running_in
from agentos.records.layout import (
    CONFIG,
    ENVIRONMENT,
    EVALUATION,
    LIVE,
    METRICS,
    NETWORK,
    SUMMARY,
    TOGETHER,
)
from agentos.records.reader import config_value
from agentos.records.views.bounded_reads import folder_bytes, last_rows, read_object, read_text
from protocols.errors import AgentOSError

DEPTH = 3
"""Folders below the one that is listed: a sweep of a study keeps its runs in ``STUDY/runs/RUN``."""
MOST_RUNS = 2_000
"""Most runs that are listed."""

Status = Literal["running", "finished", "interrupted", "failed", "damaged"]


@dataclass(frozen=True)
class RunOverview:
    """A run at a glance.

    Args:
        directory: the run folder.
        name: as configured.
        status: a run that was killed counts as interrupted; records that cannot be read are damaged.
        holder: the process that runs in it; None if none does.
        arm: arm in progress, or the last one.
        round, rounds: the last finished round of the arm, and all rounds; None if unknown.
        agents, topology, exchange: as configured; None if unknown.
        metric, value: the first metric of the evaluation, and its last mean over agents; None without any.
        percent: whether the value is a share.
        size_bytes: of all files.
        started: Unix time in seconds; of the folder's last change if it is not recorded.
        left_s: seconds that the run will take; None if unknown.
        problem: what is wrong with the records; None if nothing is.
    """

    directory: Path
    name: str
    status: Status
    started: float
    size_bytes: int
    holder: Holder | None = None
    arm: str = TOGETHER
    round: int | None = None
    rounds: int | None = None
    agents: int | None = None
    topology: str | None = None
    exchange: str | None = None
    metric: str | None = None
    value: float | None = None
    percent: bool = False
    left_s: float | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values, without the folder."""
        kept = {
            name: value for name, value in vars(self).items() if name not in ("directory", "holder")
        }
        process, host = (self.holder.process, self.holder.host) if self.holder else (None, None)
        return {**kept, "process": process, "host": host}


def find_runs(folder: Path) -> list[Path]:
    """Return the run folders in a folder, by name, or the folder itself if it is one; no link is followed."""
    if is_run_folder(folder):
        return [folder]
    found: list[Path] = []
    for path in _runs_below(folder, DEPTH):
        found.append(path)
        if len(found) == MOST_RUNS:
            break
    return found


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for path in entries:
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        if is_run_folder(path):
            yield path
        elif depth > 1:
            yield from _runs_below(path, depth - 1)


def overview(directory: Path) -> RunOverview:
    """Return a run at a glance; files that cannot be read leave gaps, and raise nothing.

    A folder that vanishes meanwhile is damaged.
    """
    holder = running_in(directory)
    try:
        with reading(directory):
            return _overview(directory, holder)
    except (AgentOSError, OSError) as error:
        problem = getattr(error, "message", None) or str(error)
        return RunOverview(
            directory,
            directory.name,
            "damaged",
            _changed(directory),
            folder_bytes(directory),
            holder,
            problem=problem,
        )


def _overview(directory: Path, holder: Holder | None) -> RunOverview:
    config = _config(directory)
    summary, live = (
        read_object(directory / SUMMARY),
        read_object(directory / LIVE) if holder else {},
    )
    status = "running" if holder else str(summary.get("status", "interrupted"))
    if status not in ("running", "finished", "interrupted", "failed"):
        raise ValueError(f"no status of a run: {status[:60]!r}")
    rows = [] if "mean" in summary and not holder else last_rows(directory / METRICS)
    metric, percent, value = _main_metric(directory, {} if holder else summary, rows)
    last = rows[-1]["round"] if rows else None
    planned = config_value(config, "training", "rounds")
    return RunOverview(
        directory=directory,
        name=printable(str(config.get("name") or directory.name))[:200],
        status=status,  # type: ignore[arg-type]
        started=_started(directory),
        size_bytes=folder_bytes(directory),
        holder=holder,
        arm=str(live.get("arm", TOGETHER))[:60],
        round=_count(live.get("finished", summary.get("rounds", last))),
        rounds=_count(live.get("rounds", planned)),
        agents=_count(read_object(directory / NETWORK).get("agents")),
        topology=_kind(config, "topology"),
        exchange=_kind(config, "exchange"),
        metric=metric,
        value=value,
        percent=percent,
        left_s=_number(live.get("left_s")),
    )


def _main_metric(
    directory: Path, summary: Mapping[str, Any], rows: list[dict[str, Any]]
) -> tuple[str | None, bool, float | None]:
    """Return the first metric that was measured, whether it is a share, and its last mean over agents."""
    described = read_object(directory / EVALUATION).get("metrics", [])
    mean = summary.get("mean", {})
    measured = {key for row in rows for key in row}
    for metric in described:
        name = metric["name"]
        percent = bool(metric.get("percent", False))
        if name in mean:
            return name, percent, _number(mean[name])
        if name in measured:
            last = max(row["round"] for row in rows if row.get(name) is not None)
            values = [row[name] for row in rows if row["round"] == last and name in row]
            finite = [value for each in values if (value := _number(each)) is not None]
            return name, percent, float(np.mean(finite)) if finite else None
    return None, False, None


def _config(directory: Path) -> dict[str, Any]:
    """Return the configuration; nothing of a run that has only started."""
    text = read_text(directory / CONFIG)
    try:
        config = parse_yaml(text, Loader) if text else {}
    except yaml.YAMLError as error:
        raise damaged(directory / CONFIG, "YAML", str(error)) from error
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} holds no mapping")
    return config


def _started(directory: Path) -> float:
    started = read_object(directory / ENVIRONMENT).get("started")
    try:
        return datetime.fromisoformat(str(started)).timestamp()
    except (ValueError, OverflowError):
        return _changed(directory)


def _changed(directory: Path) -> float:
    try:
        return directory.stat().st_mtime
    except OSError:
        return 0.0


def _kind(config: Mapping[str, Any], part: str) -> str | None:
    kind = config_value(config, part, "kind")
    return None if kind is None else printable(str(kind))[:60]


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
