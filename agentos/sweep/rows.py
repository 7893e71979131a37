"""The results of a sweep: one flat row per run, made from its folder, and the table of all rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from agentos.config.run import RunConfig
from agentos.evaluation.joint.joint_plan import JointCost
from agentos.preflight.flops import size_of
from agentos.records.atomic_files import replacing
from agentos.records.layout import HELDOUT, agent_name, agent_number
from agentos.records.reader import RunRecord, load_run
from agentos.records.result import Quality
from agentos.records.views.histories import Traffic, traffic_of
from protocols.errors import RecordError

FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"
RESULTS = "results.parquet"

Row = dict[str, Any]
"""A run's results; see `measured`."""


def measured(directory: Path, config: RunConfig) -> Row:
    """Return the row of a run that has finished, from its folder.

    ``agents``, ``heldout`` (documents), ``rounds``, ``steps`` (of each agent), ``wall_s``, ``payload_bytes``
    (serialised, of every delivery in both directions); ``tokens``, the sum of ``trained_tokens`` with a
    gradient (including ``anchor_tokens`` of public anchors), ``decoder_tokens`` in decoders and generators
    trained with them, and ``embedded_tokens`` without a gradient; ``flops``, see `agentos.preflight.flops`;
    of every metric ``NAME.mean``, ``NAME.worst`` and ``NAME.agents``; for joint embeddings ``joint_asked``,
    ``joint_bytes_per_text`` and ``joint_flops_per_text``; and as lists over the evaluated rounds, where
    round 0 is before training, ``curve.round``, ``curve.payload_bytes``, ``curve.tokens``, ``curve.flops``
    (up to that round), ``curve.NAME.mean`` and ``curve.NAME.worst``.

    Raises:
        RecordError: the folder is damaged.
    """
    record = load_run(directory)
    spent, traffic = _spent(record, config), traffic_of(record)
    total = spent[max(spent)]
    curve, last = _curve(record, spent, traffic)
    return {
        "status": FINISHED,
        "agents": record.network.agents,
        "heldout": record.environment.get(HELDOUT),
        "rounds": max(spent),
        "steps": max(spent) * config.training.local_steps,
        "wall_s": (record.summary or {}).get("wall_s"),
        "payload_bytes": traffic.sent_by(max(spent)),
        **{name: int(total[name]) for name in _COUNTED},
        **last,
        **_asked(record),
        **{f"curve.{name}": values for name, values in curve.items()},
    }


def _asked(record: RunRecord) -> Row:
    """Return what a text costs that an agent answers together with others; nothing if none does."""
    cost = JointCost.of(record.metrics)
    if cost is None:
        return {}
    return {
        "joint_asked": cost.asked,
        "joint_bytes_per_text": cost.bytes_per_text,
        "joint_flops_per_text": cost.flops_per_text,
    }


_COUNTED = (
    "tokens",
    "trained_tokens",
    "anchor_tokens",
    "decoder_tokens",
    "embedded_tokens",
    "flops",
)


def _spent(record: RunRecord, config: RunConfig) -> dict[int, dict[str, int]]:
    """Return what all agents had spent until each round, itself included."""
    sizes = [size_of(group.encoder) for group in config.agents.resolved for _ in range(group.count)]
    length = config.training.max_length
    spent: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTED, 0))
    for row in record.metrics:
        trained, decoded, embedded, anchors = (
            int(row.get(name) or 0)
            for name in ("tokens", "decoder_tokens", "embedded_tokens", "anchor_tokens")
        )
        size = sizes[agent_number(row["agent"]) or 0]
        of_round = {
            "tokens": trained + decoded + embedded,
            "trained_tokens": trained,
            "anchor_tokens": anchors,
            "decoder_tokens": decoded,
            "embedded_tokens": embedded,
            "flops": size.flops(length, trained + decoded, embedded),
        }
        for name, value in of_round.items():
            spent[row["round"]][name] += value
    if not spent:
        raise RecordError(f"The run folder {record.directory} has no rounds", hint="run it again")
    rounds = sorted(spent)
    sums = {name: np.cumsum([spent[round][name] for round in rounds]).tolist() for name in _COUNTED}
    return {round: {name: sums[name][i] for name in _COUNTED} for i, round in enumerate(rounds)}


def _curve(
    record: RunRecord, spent: Mapping[int, Mapping[str, int]], traffic: Traffic
) -> tuple[dict[str, list[Any]], Row]:
    """Return lists over the evaluated rounds, and the last evaluation."""
    metrics = record.meanings.values()
    by_round: dict[int, dict[int, dict[str, float]]] = defaultdict(dict)
    for row in record.metrics:
        values = {m.name: row[m.name] for m in metrics if row.get(m.name) is not None}
        if values:
            by_round[row["round"]][agent_number(row["agent"]) or 0] = values
    curve: dict[str, list[Any]] = defaultdict(list)
    last: Row = {}
    for round, rows in sorted(by_round.items()):
        quality = Quality.of({agent_name(agent): rows[agent] for agent in sorted(rows)}, metrics)
        curve["round"].append(round)
        curve["payload_bytes"].append(traffic.sent_by(round))
        curve["tokens"].append(spent[round]["tokens"])
        curve["flops"].append(spent[round]["flops"])
        last = {}
        for name in quality.mean:
            for part, values in (("mean", quality.mean), ("worst", quality.worst)):
                last[f"{name}.{part}"] = values[name]
                curve[f"{name}.{part}"].append(values[name])
            last[f"{name}.agents"] = [found.get(name) for found in quality.agents.values()]
    return dict(curve), last


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as one Parquet file, whole or not at all; a row that lacks a column has null there.

    Raises:
        RecordError: the file cannot be written.
    """
    columns: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None or name not in columns:
                columns[name] = columns.get(name) or _type(value)
    schema = pyarrow.schema([(name, kind or pyarrow.string()) for name, kind in columns.items()])
    table = pyarrow.Table.from_pylist(list(rows), schema=schema)
    with replacing(path) as draft:
        pyarrow.parquet.write_table(table, draft)


def read_table(path: Path) -> list[Row]:
    """Read the rows of a sweep.

    Raises:
        RecordError: there is no such file, or it is damaged.
    """
    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise RecordError(
            f"The results of a sweep cannot be read from {path}",
            expected="a Parquet file that 'agentos sweep' wrote",
            actual=str(error),
            hint="name the folder that was given to the sweep as --out",
        ) from error
    return rows


def _type(value: Any) -> Any:
    if isinstance(value, list):
        inner = {_type(item) for item in value} - {None}
        return pyarrow.list_(inner.pop() if len(inner) == 1 else pyarrow.float64())
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    return kinds.get(type(value))
