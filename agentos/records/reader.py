"""The reader of a run folder: the content of its files, checked; `views` makes a report's views of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agentos.data.yaml_text import parse_yaml
from agentos.data.yaml_values import Loader
from agentos.evaluation import TASKS
from agentos.evaluation.base import Metric
from agentos.records.atomic_files import damaged, reading, require_file, require_inside
from agentos.records.layout import (
    BASELINES,
    CONFIG,
    ENVIRONMENT,
    EVALUATION,
    FAULTS,
    HEALTH,
    ISOLATED,
    LEDGER,
    METRICS,
    NETWORK,
    RESTARTS,
    STARTING,
    SUMMARY,
    TIMINGS,
    TOGETHER,
    agent_number,
)
from agentos.records.ledger_file import read_ledger
from protocols.errors import RecordError
from protocols.ledger import Ledger
from protocols.topologies.hops import Hop
from protocols.topologies.network import Network

_MOST_ROUNDS = 2**31

Row = dict[str, Any]
"""One line of metrics: ``round``, ``agent``, and numbers; a number that was not finite is None."""


@dataclass(frozen=True, kw_only=True)
class RecordedNetwork(Network):
    """A network as a run folder holds it: it can be drawn, but has no hops."""

    def _hops(self, round: int) -> tuple[Hop, ...]:
        return ()


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder.

    Args:
        directory: the run folder.
        config_text: ``config.yaml`` as it was written.
        config: the same file, parsed.
        environment: Python, platform, cores and package versions.
        network: the agents and the edges between them.
        names: one name to show per agent, in the order of their numbers.
        meanings: the description of each evaluation metric, by name, in the order of the tasks.
        metrics: the lines of ``metrics.jsonl``, with the seconds of ``timings.jsonl``.
        ledger: the bytes of ``ledger.parquet``, or None if the run stopped before it was written.
        summary: ``summary.json``, or None if the run was killed.
        baselines: the metric lines of each baseline that ran, by its arm.
        health: the lines of ``health.jsonl``; empty if health was not monitored.
        faults: the faults of ``faults.jsonl``; empty if no fault was injected.
        restarts: the restarts of ``restarts.jsonl``; empty if no host was lost.
    """

    directory: Path
    config_text: str
    config: dict[str, Any]
    environment: dict[str, Any]
    network: RecordedNetwork
    names: tuple[str, ...]
    meanings: dict[str, Metric]
    metrics: list[Row]
    ledger: Ledger | None
    summary: dict[str, Any] | None
    baselines: dict[str, list[Row]]
    health: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    restarts: list[dict[str, Any]] = field(default_factory=list)

    def rows(self, arm: str) -> list[Row]:
        """Return the metric lines of an arm; none if it did not run."""
        return self.metrics if arm == TOGETHER else self.baselines.get(arm, [])

    @property
    def isolated(self) -> list[Row] | None:
        """The metric lines of the agents alone; None if they did not train alone."""
        return self.baselines.get(ISOLATED)


def load_run(directory: str | Path) -> RunRecord:
    """Read a run folder, whether its run finished, was interrupted, or is still in progress.

    A last line of ``metrics.jsonl`` that was cut off by a crash is left out.

    Raises:
        RecordError: the folder is missing or is not a run folder, a link leads out of it, or one of its files
            is damaged.
    """
    folder = Path(directory)
    if (folder / STARTING).exists() and not (folder / CONFIG).exists():
        raise RecordError(
            f"The run in {folder} was stopped before its first round",
            expected=f"a folder that holds {CONFIG}",
            actual="what the first moments of a run leave",
            hint=f"begin it again with 'agentos run ... --out {folder}', which takes the folder",
        )
    if not (folder / CONFIG).is_file():
        raise RecordError(
            f"{folder} is not a run folder",
            expected=f"a folder that holds {CONFIG}",
            actual="no such folder" if not folder.is_dir() else f"no {CONFIG} in it",
            hint="name a folder that `agentos run` wrote with --out, by default one under runs/",
        )
    require_inside(folder)
    with reading(folder):
        return _record(folder)


def _record(folder: Path) -> RunRecord:
    config_text = _read(folder / CONFIG)
    network, names = read_network(folder / NETWORK)
    baselines = {arm: folder / arm / METRICS for arm in BASELINES}
    return RunRecord(
        directory=folder,
        config_text=config_text,
        config=_config(folder / CONFIG, config_text),
        environment=_json(folder / ENVIRONMENT),
        network=network,
        names=names,
        meanings=read_meanings(folder / EVALUATION),
        metrics=_metrics(folder / METRICS, network.agents),
        ledger=read_ledger(folder / LEDGER) if (folder / LEDGER).exists() else None,
        summary=_json(folder / SUMMARY) if (folder / SUMMARY).exists() else None,
        baselines={
            arm: _metrics(path, network.agents) for arm, path in baselines.items() if path.exists()
        },
        health=_if_there(folder / HEALTH, dict, "paused"),
        faults=_if_there(folder / FAULTS, dict, "struck"),
        restarts=_if_there(folder / RESTARTS, str, "why"),
    )


def config_value(config: Mapping[str, Any], *path: str) -> Any:
    """Return a value deep in a recorded configuration, or None if there is none.

    Example:
        >>> config_value({"training": {"rounds": 8}}, "training", "rounds")
        8
    """
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def network_as_json(network: Network, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the content of ``network.json``, from which `load_run` rebuilds the network."""
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
    """Return the content of ``evaluation.json``: the description of each metric."""
    return {"metrics": [asdict(metric) for metric in metrics]}


def read_network(path: Path) -> tuple[RecordedNetwork, tuple[str, ...]]:
    """Read ``network.json``: the network, and the name of each agent.

    Raises:
        RecordError: the file is missing or damaged.
    """
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
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(path, "agents, family, arrangement, edges, roles, levels, names") from error
    if not len(names) == len(network.roles) == len(network.levels) == network.agents:
        raise damaged(path, f"{network.agents} names, roles and levels")
    return network, names


def read_meanings(path: Path) -> dict[str, Metric]:
    """Read the descriptions of the metrics; a folder without the file used the shipped tasks.

    Raises:
        RecordError: the file is damaged.
    """
    if not path.exists():
        return {metric.name: metric for task in TASKS.values() for metric in task.metrics}
    try:
        metrics = [Metric(**fields) for fields in _json(path)["metrics"]]
    except (KeyError, TypeError) as error:
        raise damaged(path, "a list of metrics") from error
    return {metric.name: metric for metric in metrics}


def _config(path: Path, text: str) -> dict[str, Any]:
    try:
        config = parse_yaml(text, Loader)
    except yaml.YAMLError as error:
        raise damaged(path, "YAML", str(error)) from error
    if not isinstance(config, dict):
        raise damaged(path, "a mapping", type(config).__name__)
    return config


def _metrics(path: Path, agents: int) -> list[Row]:
    """Read lines of metrics, each with its measured seconds from the other file."""
    rows, timings = _json_lines(path), path.with_name(TIMINGS)
    for number, row in enumerate(rows, start=1):
        agent = agent_number(row["agent"])
        if agent is None or agent >= agents:
            expected = f"one of {agents} agents, from agent-0, on line {number}"
            raise damaged(path, expected, row["agent"][:60])
        _require_numbers(path, number, row)
    if not timings.exists():
        return rows
    measured = _json_lines(timings)
    for number, row in enumerate(measured, start=1):
        _require_numbers(timings, number, row)
    timed = {(row["round"], row["agent"]): row for row in measured}
    return [{**row, **timed.get((row["round"], row["agent"]), {})} for row in rows]


def _require_numbers(path: Path, line: int, row: Row) -> None:
    for name, value in row.items():
        if name == "agent" or value is None:
            continue
        whole = isinstance(value, int) and value.bit_length() < 64
        if not (whole or isinstance(value, float)):
            raise damaged(path, f"a number under {name[:60]!r} on line {line}", repr(value)[:60])


def _if_there(path: Path, of_type: type, key: str) -> list[dict[str, Any]]:
    return _json_lines(path, of_type, key) if path.exists() else []


def _json_lines(path: Path, of_type: type = str, key: str = "agent") -> list[dict[str, Any]]:
    """Read objects that each have a round, and a value of this type under a key.

    A torn last line is left out: the writer was stopped in the middle of it.
    """
    lines = _read(path).split("\n")
    torn = lines.pop()  # empty, unless the writer was stopped in the middle of a line
    rows = [
        _json_line(path, number, line, of_type, key) for number, line in enumerate(lines, start=1)
    ]
    try:
        return [*rows, _json_line(path, len(rows) + 1, torn, of_type, key)] if torn else rows
    except RecordError:
        return rows


def _json_line(path: Path, number: int, line: str, of_type: type, key: str) -> dict[str, Any]:
    article = "an" if key == "agent" else "a"
    expected = f"a JSON object with a round and {article} {key} on line {number}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise damaged(path, expected, line[:60]) from error
    if not (
        isinstance(row, dict)
        and type(row.get("round")) is int
        and 0 <= row["round"] < _MOST_ROUNDS
        and isinstance(row.get(key), of_type)
    ):
        raise damaged(path, expected, line[:60])
    return row


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise damaged(path, "JSON", str(error)) from error
    if not isinstance(value, Mapping):
        raise damaged(path, "a JSON object", type(value).__name__)
    return dict(value)


def _read(path: Path) -> str:
    require_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecordError(
            f"The run folder {path.parent} has no {path.name}",
            expected=str(path),
            actual="no such file",
            hint="the run stopped before it wrote this file: run it again",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(path, "a readable text file", str(error)) from error
