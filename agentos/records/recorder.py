"""The run folder: what a run leaves behind, written as it goes so that a crash loses nothing.

``config.yaml``, ``environment.json``, ``network.json``, ``evaluation.json``, ``metrics.jsonl``,
``timings.jsonl``, ``health.jsonl``, ``faults.jsonl``, ``restarts.jsonl``, ``ledger.parquet``,
``summary.json``, ``embeddings.safetensors``, ``similarity.json``, ``tensorboard/``, ``checkpoints/``,
``isolated/`` with the metrics of the baseline, and ``trace.json`` where a profile was asked for.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agentos.evaluation import Metric
from agentos.records.agent_similarity import EMBEDDINGS, SIMILARITY
from agentos.records.atomic_files import plain, replacing, writing
from agentos.records.metrics_log import MetricsLog, rewind
from agentos.records.reader import (
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
    SUMMARY,
    TIMINGS,
    TRACE,
    RecordedNetwork,
    RunRecord,
    load_run,
    meanings_as_json,
    network_as_json,
)
from agentos.rounds.health.collapse import Health
from protocols.errors import RecordError
from protocols.ledger import COLUMNS, Ledger
from protocols.topologies.base import Network

if TYPE_CHECKING:
    from agentos.rounds.recovery import Restart

__all__ = [
    "MetricsLog",
    "RecordedNetwork",
    "Recorder",
    "RunRecord",
    "load_run",
    "summarise_metrics",
]

TENSORBOARD = "tensorboard"
ENCODERS = "encoders"
REPORT = "report.html"
WRITTEN = (
    METRICS,
    TIMINGS,
    HEALTH,
    RESTARTS,
    FAULTS,
    LEDGER,
    SUMMARY,
    REPORT,
    EMBEDDINGS,
    SIMILARITY,
    TRACE,
)
"""Files that a run appends to, or may leave out: those of an earlier run must not stay."""
PACKAGES = ("llm-agentos", "torch", "transformers", "tokenizers", "ray", "numpy", "scikit-learn")


class Recorder:
    """Writes a run folder; a coordinator calls it, nobody else does.

    Args:
        directory: the run folder; created by `claim` or `start`.
        overwrite: whether an earlier run in it may be replaced.

    Example:
        >>> from tempfile import mkdtemp
        >>> pair = RecordedNetwork(
        ...     agents=2, family="peer", edges=((0, 1),), roles=("peer", "peer"), levels=(0, 0)
        ... )
        >>> with Recorder(Path(mkdtemp()) / "run") as recorder:
        ...     recorder.start("name: small", pair, ["numpy", "torch"])
        ...     recorder.round(1, [{"agent": 0, "loss": 0.5}, {"agent": 1, "loss": 0.25}])
        >>> load_run(recorder.directory).metrics[1]
        {'round': 1, 'agent': 'agent-1', 'loss': 0.25}
    """

    def __init__(self, directory: str | Path, *, overwrite: bool = False) -> None:
        self.directory = Path(directory)
        self._overwrite = overwrite
        self._claimed = False
        board = self.directory / TENSORBOARD
        self._together = MetricsLog(self.directory / METRICS, board / "together")
        self._isolated = MetricsLog(self.directory / ISOLATED / METRICS, board / ISOLATED)

    def claim(self) -> None:
        """Create the folder, or empty it of an earlier run; `start` does it if nobody has yet.

        Raises:
            RecordError: the folder holds something already, or cannot be written to.
        """
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            found = sorted(path.name for path in self.directory.iterdir())
            if found and not (self._overwrite and CONFIG in found):
                raise RecordError(
                    f"The run folder {self.directory} is not empty",
                    expected="a new or an empty folder",
                    actual=", ".join(found[:5]),
                    hint="choose another folder with --out, or remove this one",
                )
            for name in WRITTEN:
                (self.directory / name).unlink(missing_ok=True)
            for name in {ISOLATED, TENSORBOARD, ENCODERS} & {*found}:
                shutil.rmtree(self.directory / name)
        self._claimed = True

    def start(
        self,
        config_yaml: str,
        network: Network,
        names: Sequence[str],
        metrics: Iterable[Metric] = (),
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what is known before the first round.

        Args:
            config_yaml: the resolved configuration.
            network: who may talk to whom.
            names: one name to show per agent, in the order of their numbers.
            metrics: what the evaluation will report, see `Evaluator.metrics`.
            measured: what was measured to choose what the configuration left open.

        Raises:
            RecordError: the folder holds something already, or cannot be written to.
        """
        if len(names) != network.agents:
            raise RecordError("Names and agents differ", expected=network.agents, actual=names)
        if not self._claimed:
            self.claim()
        self._write(CONFIG, config_yaml if config_yaml.endswith("\n") else config_yaml + "\n")
        self._write_json(ENVIRONMENT, {**environment(), **(measured or {})})
        self._write_json(NETWORK, network_as_json(network, tuple(names)))
        self._write_json(EVALUATION, meanings_as_json(tuple(metrics)))
        self._write(METRICS, "")
        self._write(TIMINGS, "")

    def go_on(self, rounds: Mapping[str, int]) -> None:
        """Open the folder of a run that stopped, and forget what came after these rounds.

        Args:
            rounds: the last round to keep of ``together`` and ``isolated``; -1 for none.

        Raises:
            RecordError: the folder cannot be written to.
        """
        for name in (SUMMARY, REPORT):
            with writing(self.directory):
                (self.directory / name).unlink(missing_ok=True)
        for arm, round in rounds.items():
            self.go_back(arm, round)
        self._claimed = True

    def go_back(self, arm: str, round: int) -> None:
        """Forget what came after a round of ``together`` or ``isolated``; -1 forgets all.

        Raises:
            RecordError: the folder cannot be written to.
        """
        if arm == ISOLATED:
            self._isolated.rewind(round)
            return
        self._together.rewind(round)
        for name in (HEALTH, FAULTS):
            rewind(self.directory / name, round)

    def round(self, round: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append one round; see `MetricsLog.round`."""
        self._together.round(round, rows)

    def health(self, round: int, health: Health) -> None:
        """Append what a look at the agents found between them, and who is paused, to ``health.jsonl``.

        Raises:
            RecordError: the folder cannot be written to.
        """
        line = {
            "round": round,
            "cka": [[*edge, value] for edge, value in health.cka.items()],
            "paused": {f"agent-{agent}": why for agent, why in health.paused.items()},
        }
        self._append(HEALTH, line)

    def faults(self, round: int, struck: Mapping[str, int]) -> None:
        """Append to ``faults.jsonl`` how often each kind of fault struck in a round.

        Raises:
            RecordError: the folder cannot be written to.
        """
        self._append(FAULTS, {"round": round, "struck": dict(struck)})

    def restart(self, restart: Restart) -> None:
        """Append a restart to ``restarts.jsonl``; it stays, whatever the run goes back to.

        Raises:
            RecordError: the folder cannot be written to.
        """
        self._append(RESTARTS, asdict(restart))

    def baseline(self) -> MetricsLog:
        """Return the log of the isolated baseline, ``isolated/metrics.jsonl``."""
        return self._isolated

    def ledger(self, ledger: Ledger) -> None:
        """Write the ledger's rows; each call replaces what the last one wrote.

        Raises:
            RecordError: the folder cannot be written to.
        """
        write_ledger(ledger, self.directory / LEDGER)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``; each call replaces what the last one wrote.

        Raises:
            RecordError: the folder cannot be written to.
        """
        self._write_json(SUMMARY, summary)

    def close(self) -> None:
        """Flush TensorBoard's events. The rest is on the disk's side already."""
        self._together.close()
        self._isolated.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self._write(name, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with writing(self.directory), (self.directory / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(line), allow_nan=False) + "\n")

    def _write(self, name: str, text: str) -> None:
        with replacing(self.directory / name) as path:
            path.write_text(text, encoding="utf-8", newline="\n")


def summarise_metrics(
    agents: Mapping[str, Mapping[str, float]], metrics: Iterable[Metric]
) -> dict[str, Any]:
    """Return ``agents``, and the ``mean`` and the ``worst`` agent's value of each metric.

    Worst is the lowest where higher is better, and the highest where lower is. An agent that lacks
    a metric is left out of it; a metric that every agent lacks is left out altogether.

    Args:
        agents: agent name -> metric name -> value.
        metrics: the metrics to sum up.

    Example:
        >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
        >>> summary = summarise_metrics({"agent-0": {"mrr": 0.5}, "agent-1": {"mrr": 0.25}}, [mrr])
        >>> summary["mean"], summary["worst"]
        ({'mrr': 0.375}, {'mrr': 0.25})
    """
    mean: dict[str, float] = {}
    worst: dict[str, float] = {}
    for metric in metrics:
        given = (values.get(metric.name) for values in agents.values())
        found = [value for value in given if value is not None and np.isfinite(value)]
        if found:
            mean[metric.name] = float(np.mean(found))
            worst[metric.name] = float(min(found) if metric.higher_is_better else max(found))
    return {
        "agents": {name: dict(values) for name, values in agents.items()},
        "mean": mean,
        "worst": worst,
    }


def environment() -> dict[str, Any]:
    """Return what the run stood on: Python, platform, cores and package versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def write_ledger(ledger: Ledger, path: Path) -> None:
    """Write a ledger's rows as a Parquet table, whole or not at all.

    Raises:
        RecordError: the folder cannot be written to.
    """
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(ledger.rows(), schema=_ledger_schema())
    with replacing(path) as draft:
        pyarrow.parquet.write_table(table, draft)


def _ledger_schema() -> Any:
    import pyarrow

    sizes = dict.fromkeys(("payload_bytes", "fp32_bytes"), pyarrow.int64())
    types = {"kind": pyarrow.string(), **sizes}
    return pyarrow.schema([(name, types.get(name, pyarrow.int32())) for name in COLUMNS])
