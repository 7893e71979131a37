"""The recorder writes a run folder as the run goes, so that a crash loses nothing; see `layout`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentos.evaluation.base import Metric
from agentos.records.atomic_files import append_json, replacing, require_inside, write_json, writing
from agentos.records.environment import environment
from agentos.records.identity.fingerprint import Fingerprint, write_fingerprints
from agentos.records.identity.folder_claim import abandon, remove_drafts, take
from agentos.records.identity.folder_lock import FolderLock
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
    REPORT,
    RESTARTS,
    STARTING,
    SUMMARY,
    TENSORBOARD,
    TIMINGS,
    TOGETHER,
    agent_name,
)
from agentos.records.ledger_file import write_ledger
from agentos.records.metrics_log import MetricsLog, rewind
from agentos.records.reader import meanings_as_json, network_as_json
from agentos.records.reports import Restart, RoundReport
from protocols.errors import RecordError
from protocols.ledger import Ledger
from protocols.topologies.network import Network


class Recorder:
    """Writes a run folder.

    Args:
        directory: the run folder; created by `claim` or `start`.
        overwrite: whether an earlier run in it may be replaced.

    Example:
        >>> from tempfile import mkdtemp
        >>> from agentos.records.reader import load_run
        >>> from protocols.topologies import TOPOLOGIES
        >>> pair = TOPOLOGIES["ring"]().build(agents=2, seed=0)
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
        self._lock = FolderLock(self.directory)
        board = self.directory / TENSORBOARD
        self._together = MetricsLog(self.directory / METRICS, board / TOGETHER)
        self._baselines = {
            arm: MetricsLog(self.directory / arm / METRICS, board / arm) for arm in BASELINES
        }

    def claim(self) -> None:
        """Create the folder, or clear an earlier run from it; `start` calls this if you have not.

        Raises:
            RecordError: the folder holds something already, is in use, or cannot be written to.
        """
        require_inside(self.directory)
        take(self.directory, self._lock, self._overwrite)
        self._claimed = True

    def start(
        self,
        config_yaml: str,
        network: Network,
        names: Sequence[str],
        metrics: Iterable[Metric] = (),
        measured: Mapping[str, Any] | None = None,
        fingerprints: Sequence[Fingerprint] = (),
    ) -> None:
        """Write the files that describe the run, before its first round; the configuration last.

        Args:
            config_yaml: the resolved configuration.
            network: the agents and the edges between them.
            names: one name to show per agent, in the order of their numbers.
            metrics: the metrics of the evaluation.
            measured: measurements used to resolve automatic settings.
            fingerprints: of the data that the run reads.

        Raises:
            RecordError: the folder holds something already, or cannot be written to.
        """
        if len(names) != network.agents:
            raise RecordError("Names and agents differ", expected=network.agents, actual=names)
        if not self._claimed:
            self.claim()
        self._write_json(ENVIRONMENT, {**environment(), **(measured or {})})
        self._write_json(NETWORK, network_as_json(network, tuple(names)))
        self._write_json(EVALUATION, meanings_as_json(tuple(metrics)))
        self.fingerprints(fingerprints)
        with writing(self.directory):
            for name in (METRICS, TIMINGS):
                (self.directory / name).touch()
        # A folder with a configuration is complete, and can be resumed.
        self._write(CONFIG, config_yaml if config_yaml.endswith("\n") else config_yaml + "\n")
        self._forget_start()

    def lock(self) -> None:
        """Lock the folder until the recorder is left; `claim` and `go_on` do so as well.

        Raises:
            RecordError: the folder is in use, or cannot be written to.
        """
        self._lock.acquire()

    def abandon(self) -> None:
        """Remove the folder of a run that could not begin, unless anything was recorded."""
        abandon(self.directory)

    def fingerprints(self, fingerprints: Sequence[Fingerprint]) -> None:
        """Write ``fingerprint.json``, unless there are none.

        Raises:
            RecordError: the folder cannot be written to.
        """
        if fingerprints:
            write_fingerprints(self.directory, fingerprints)

    def go_on(self, rounds: Mapping[str, int]) -> None:
        """Open the folder of a run that stopped, and remove the records after these rounds.

        Args:
            rounds: per arm the last round to keep; -1 for none.

        Raises:
            RecordError: the folder cannot be written to.
        """
        require_inside(self.directory)
        self.lock()
        remove_drafts(self.directory)
        for name in (SUMMARY, REPORT):
            with writing(self.directory):
                (self.directory / name).unlink(missing_ok=True)
        for arm, round in rounds.items():
            self.go_back(arm, round)
        # Written anew like the others: a second name of the file elsewhere keeps what it had.
        rewind(self.directory / RESTARTS, math.inf)
        self._forget_start()
        self._claimed = True

    def go_back(self, arm: str, round: int) -> None:
        """Remove the records after a round of an arm; -1 removes all.

        Raises:
            RecordError: the folder cannot be written to.
        """
        if arm in self._baselines:
            self._baselines[arm].rewind(round)
            return
        self._together.rewind(round)
        for name in (HEALTH, FAULTS):
            rewind(self.directory / name, round)

    def round(self, round: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append one round; see `MetricsLog.round`."""
        self._together.round(round, rows)

    def on_round(self, report: RoundReport) -> None:
        """Append a round of any arm: its metrics, and the readings and faults in it.

        Raises:
            RecordError: the folder cannot be written to.
        """
        log = self._baselines.get(report.arm, self._together)
        log.round(
            report.round,
            [
                {"agent": agent, "round_s": report.round_s, **values}
                for agent, values in report.metrics.items()
            ],
        )
        if report.health is not None:
            self.health(report.round, report.health.cka, report.health.paused)
        if report.faults and report.arm == TOGETHER:
            append_json(
                self.directory / FAULTS, {"round": report.round, "struck": dict(report.faults)}
            )

    def health(
        self, round: int, cka: Mapping[tuple[int, int], float], paused: Mapping[int, str]
    ) -> None:
        """Append the health of the agents after a round to ``health.jsonl``.

        Args:
            round: the round.
            cka: linear CKA of each pair of neighbours.
            paused: agents whose exchange is paused, each with the reason.

        Raises:
            RecordError: the folder cannot be written to.
        """
        line = {
            "round": round,
            "cka": [[*edge, value] for edge, value in cka.items()],
            "paused": {agent_name(agent): why for agent, why in paused.items()},
        }
        append_json(self.directory / HEALTH, line)

    def restart(self, restart: Restart) -> None:
        """Append a restart to ``restarts.jsonl``; going back to an earlier round does not remove it.

        Raises:
            RecordError: the folder cannot be written to.
        """
        append_json(self.directory / RESTARTS, asdict(restart))

    def baseline(self, arm: str = ISOLATED) -> MetricsLog:
        """Return the log of a baseline, such as ``isolated/metrics.jsonl``."""
        return self._baselines[arm]

    def ledger(self, ledger: Ledger) -> None:
        """Write the ledger's rows; each call replaces the previous content.

        Raises:
            RecordError: the folder cannot be written to.
        """
        write_ledger(ledger, self.directory / LEDGER)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``; each call replaces the previous content.

        Raises:
            RecordError: the folder cannot be written to.
        """
        self._write_json(SUMMARY, summary)

    def close(self) -> None:
        """Flush TensorBoard's events; everything else is written already."""
        self._together.close()
        for log in self._baselines.values():
            log.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self._lock.release()

    def _forget_start(self) -> None:
        with writing(self.directory):
            (self.directory / STARTING).unlink(missing_ok=True)

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        write_json(self.directory / name, value, indent=2)

    def _write(self, name: str, text: str) -> None:
        with replacing(self.directory / name) as path:
            path.write_text(text, encoding="utf-8", newline="\n")
