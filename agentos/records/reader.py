"""Reading a run folder back: everything that a report or a comparison needs, in one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentos.evaluation import TASKS, Metric
from protocols.errors import RecordError
from protocols.ledger import Ledger
from protocols.topologies.hops import Hop
from protocols.topologies.network import Network

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
NETWORK = "network.json"
EVALUATION = "evaluation.json"
METRICS = "metrics.jsonl"
TIMINGS = "timings.jsonl"
HEALTH = "health.jsonl"
RESTARTS = "restarts.jsonl"
FAULTS = "faults.jsonl"
LEDGER = "ledger.parquet"
SUMMARY = "summary.json"
TRACE = "trace.json"
ISOLATED = "isolated"


@dataclass(frozen=True, kw_only=True)
class RecordedNetwork(Network):
    """A network as a run folder remembers it: fit to be drawn, not to be run."""

    def _hops(self, round: int) -> tuple[Hop, ...]:
        return ()


@dataclass(frozen=True)
class RunRecord:
    """What a run folder holds.

    Args:
        directory: the run folder.
        config_text: ``config.yaml`` as it was written.
        config: the same, parsed.
        environment: Python, platform, cores and package versions.
        network: who could talk to whom.
        names: one name to show per agent, in the order of their numbers.
        meanings: what each evaluation metric means, by name, in the order of the tasks.
        metrics: the lines of ``metrics.jsonl``, seconds of ``timings.jsonl`` included; a number that was not
            finite is None.
        ledger: the bytes of ``ledger.parquet``, or None if the run never came so far.
        summary: ``summary.json``, or None if the run did not end in good order.
        health: the lines of ``health.jsonl``; empty where nobody looked.
        faults: those of ``faults.jsonl``; empty where no fault struck on purpose.
        restarts: those of ``restarts.jsonl``; empty where no host was lost.
        isolated: the isolated baseline's metric lines, or None if none ran.
    """

    directory: Path
    config_text: str
    config: dict[str, Any]
    environment: dict[str, Any]
    network: RecordedNetwork
    names: tuple[str, ...]
    meanings: dict[str, Metric]
    metrics: list[dict[str, Any]]
    ledger: Ledger | None
    summary: dict[str, Any] | None
    isolated: list[dict[str, Any]] | None
    health: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    restarts: list[dict[str, Any]] = field(default_factory=list)


def load_run(directory: str | Path) -> RunRecord:
    """Read a run folder, whether its run finished, was interrupted, or is still under way.

    A last line of ``metrics.jsonl`` that was cut off by a crash is left out.

    Raises:
        RecordError: the folder is missing, is no run folder, or one of its files is damaged.
    """
    folder = Path(directory)
    if not (folder / CONFIG).is_file():
        raise RecordError(
            f"{folder} is not a run folder",
            expected=f"a folder that holds {CONFIG}",
            actual="no such folder" if not folder.is_dir() else f"no {CONFIG} in it",
            hint="name a folder that `agentos run` wrote with --out, by default one under runs/",
        )
    config_text = _read(folder / CONFIG)
    network, names = _network(folder / NETWORK)
    isolated = folder / ISOLATED / METRICS
    return RunRecord(
        directory=folder,
        config_text=config_text,
        config=_config(folder / CONFIG, config_text),
        environment=_json(folder / ENVIRONMENT),
        network=network,
        names=names,
        meanings=_meanings(folder / EVALUATION),
        metrics=_metrics(folder / METRICS),
        ledger=read_ledger(folder / LEDGER) if (folder / LEDGER).exists() else None,
        summary=_json(folder / SUMMARY) if (folder / SUMMARY).exists() else None,
        isolated=_metrics(isolated) if isolated.exists() else None,
        health=_if_there(folder / HEALTH, dict, "paused"),
        faults=_if_there(folder / FAULTS, dict, "struck"),
        restarts=_if_there(folder / RESTARTS, str, "why"),
    )


def network_as_json(network: Network, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what `load_run` needs to draw the network again."""
    return {
        "agents": network.agents,
        "family": network.family,
        "arrangement": network.arrangement,
        "roles": list(network.roles),
        "levels": list(network.levels),
        "names": list(names),
        "edges": [list(edge) for edge in network.edges],
    }


def meanings_as_json(metrics: tuple[Metric, ...]) -> dict[str, Any]:
    """Return what `load_run` needs to explain the metrics again."""
    return {"metrics": [asdict(metric) for metric in metrics]}


def _network(path: Path) -> tuple[RecordedNetwork, tuple[str, ...]]:
    saved = _json(path)
    try:
        network = RecordedNetwork(
            agents=int(saved["agents"]),
            family=saved["family"],
            arrangement=saved["arrangement"],
            edges=tuple((int(a), int(b)) for a, b in saved["edges"]),
            roles=tuple(map(str, saved["roles"])),
            levels=tuple(map(int, saved["levels"])),
        )
        names = tuple(map(str, saved["names"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, "agents, family, arrangement, edges, roles, levels, names") from error
    if not len(names) == len(network.roles) == len(network.levels) == network.agents:
        raise _damaged(path, f"{network.agents} names, roles and levels")
    return network, names


def _meanings(path: Path) -> dict[str, Metric]:
    """Read what the metrics mean; a folder without the file used the shipped tasks."""
    if not path.exists():
        return {metric.name: metric for task in TASKS.values() for metric in task.metrics}
    try:
        metrics = [Metric(**fields) for fields in _json(path)["metrics"]]
    except (KeyError, TypeError) as error:
        raise _damaged(path, "a list of metrics") from error
    return {metric.name: metric for metric in metrics}


def _config(path: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _damaged(path, "YAML", str(error)) from error
    if not isinstance(config, dict):
        raise _damaged(path, "a mapping", type(config).__name__)
    return config


def read_ledger(path: Path) -> Ledger:
    """Read a ledger's Parquet table.

    Raises:
        RecordError: it is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        return Ledger.from_rows(pyarrow.parquet.read_table(path).to_pydict())
    except (OSError, ValueError, pyarrow.ArrowException, RecordError) as error:
        raise _damaged(path, "the Parquet table of a ledger", str(error)) from error


def _metrics(path: Path) -> list[dict[str, Any]]:
    """Read lines of metrics, each with the seconds that were written apart."""
    rows, timings = _json_lines(path), path.with_name(TIMINGS)
    if not timings.exists():
        return rows
    timed = {(row["round"], row["agent"]): row for row in _json_lines(timings)}
    return [{**row, **timed.get((row["round"], row["agent"]), {})} for row in rows]


def _if_there(path: Path, type: type, key: str) -> list[dict[str, Any]]:
    return _json_lines(path, type, key) if path.exists() else []


def _json_lines(path: Path, type: type = str, key: str = "agent") -> list[dict[str, Any]]:
    """Read objects that each have a round, and a value of this type under a key."""
    lines = _read(path).split("\n")
    torn = lines.pop()  # empty, unless the writer was stopped in the middle of a line
    rows = [_row(path, number, line, type, key) for number, line in enumerate(lines, start=1)]
    try:
        return [*rows, _row(path, len(rows) + 1, torn, type, key)] if torn else rows
    except RecordError:
        return rows


def _row(path: Path, number: int, line: str, type: type, key: str) -> dict[str, Any]:
    article = "an" if key == "agent" else "a"
    expected = f"a JSON object with a round and {article} {key} on line {number}"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise _damaged(path, expected, line[:60]) from error
    if not (
        isinstance(row, dict)
        and isinstance(row.get("round"), int)
        and isinstance(row.get(key), type)
    ):
        raise _damaged(path, expected, line[:60])
    return row


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise _damaged(path, "JSON", str(error)) from error
    if not isinstance(value, Mapping):
        raise _damaged(path, "a JSON object", type(value).__name__)
    return dict(value)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecordError(
            f"The run folder {path.parent} has no {path.name}",
            expected=str(path),
            actual="no such file",
            hint="the run stopped before it was written: run it again",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, "a readable text file", str(error)) from error


def _damaged(path: Path, expected: str, actual: str | None = None) -> RecordError:
    return RecordError(
        f"The record {path} is damaged",
        expected=expected,
        actual=actual,
        hint="restore the file from a copy, or run again",
    )
