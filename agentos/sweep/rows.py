"""What is kept of a run: one flat row, made from its folder; and the table of all rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentos.config.run import RunConfig
from agentos.preflight.flops import size_of
from agentos.records.atomic_files import replacing
from agentos.records.reader import RunRecord
from agentos.records.recorder import load_run, summarise_metrics
from agentos.reporting.charts.series import agent_number, bytes_until
from protocols.errors import RecordError

FINISHED, FAILED = "finished", "failed"
RESULTS = "results.parquet"

Row = dict[str, Any]
"""A run's results; see `measured`."""


def measured(directory: Path, config: RunConfig) -> Row:
    """Return the row of a run that has finished, from its folder.

    ``agents``, ``rounds``, ``steps`` (of each agent), ``wall_s``, ``payload_bytes`` (serialised, of every
    delivery, both ways); ``tokens``, of which ``trained_tokens`` with a gradient (``anchor_tokens`` of them
    are of public anchors), ``decoder_tokens`` in decoders beside the encoders, and ``embedded_tokens``
    without a gradient; ``flops``, see `agentos.preflight.flops`; of every metric ``NAME.mean``,
    ``NAME.worst`` and
    ``NAME.agents``; and as lists over the evaluated rounds, round 0 being before training, ``curve.round``,
    ``curve.payload_bytes``, ``curve.tokens``, ``curve.flops`` (all until then), ``curve.NAME.mean`` and
    ``curve.NAME.worst``.

    Raises:
        RecordError: the folder is damaged.
    """
    record = load_run(directory)
    spent = _spent(record, config)
    total = spent[max(spent)]
    curve, last = _curve(record, spent)
    return {
        "status": FINISHED,
        "agents": record.network.agents,
        "rounds": max(spent),
        "steps": max(spent) * config.training.local_steps,
        "wall_s": (record.summary or {}).get("wall_s"),
        "payload_bytes": bytes_until(record)(max(spent)),
        **{name: int(total[name]) for name in _COUNTED},
        **last,
        **{f"curve.{name}": values for name, values in curve.items()},
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
        size = sizes[agent_number(row["agent"])]
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
    record: RunRecord, spent: Mapping[int, Mapping[str, int]]
) -> tuple[dict[str, list[Any]], Row]:
    """Return lists over the evaluated rounds, and the last evaluation."""
    sent = bytes_until(record)
    metrics = record.meanings.values()
    by_round: dict[int, dict[str, Mapping[str, float]]] = defaultdict(dict)
    for row in record.metrics:
        if any(row.get(metric.name) is not None for metric in metrics):
            by_round[row["round"]][row["agent"]] = row
    curve: dict[str, list[Any]] = defaultdict(list)
    last: Row = {}
    for round, rows in sorted(by_round.items()):
        agents = {name: rows[name] for name in sorted(rows, key=agent_number)}
        summary = summarise_metrics(agents, metrics)
        curve["round"].append(round)
        curve["payload_bytes"].append(sent(round))
        curve["tokens"].append(spent[round]["tokens"])
        curve["flops"].append(spent[round]["flops"])
        last = {}
        for name in summary["mean"]:
            for part in ("mean", "worst"):
                last[f"{name}.{part}"] = summary[part][name]
                curve[f"{name}.{part}"].append(summary[part][name])
            last[f"{name}.agents"] = [values.get(name) for values in agents.values()]
    return dict(curve), last


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as one Parquet file, whole or not at all; a row without a column has null there.

    Raises:
        RecordError: the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

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
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise RecordError(
            f"The results of a sweep cannot be read from {path}",
            expected="a Parquet file that 'agentos sweep' wrote",
            actual=str(error),
            hint="name the sweep's folder as its --out was",
        ) from error
    return rows


def _type(value: Any) -> Any:
    import pyarrow

    if isinstance(value, list):
        inner = {_type(item) for item in value} - {None}
        return pyarrow.list_(inner.pop() if len(inner) == 1 else pyarrow.float64())
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    return kinds.get(type(value))
