"""Run folders as pandas tables: what was measured, sent and reached, ready to group and plot."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentos.records import reader
from agentos.records.layout import ARMS, CONFIG, ISOLATED, SELF_TRAINING, TOGETHER, agent_number
from agentos.records.result import UNTRAINED, quality_table
from agentos.records.views.config_differences import (
    Fields,
    differing_fields,
    run_labels,
    setting_text,
)
from agentos.records.views.outcome import outcome
from protocols.errors import RecordError

if TYPE_CHECKING:
    from pandas import DataFrame

_KEYS = ("arm", "round", "agent")


@dataclass(frozen=True)
class RecordedRun:
    """A run folder, read and checked; its tables are made when they are first asked for.

    Args:
        record: the content of the folder.
    """

    record: reader.RunRecord

    @property
    def directory(self) -> Path:
        """The run folder."""
        return self.record.directory

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.config.get("name") or self.directory.name)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, every default filled in."""
        return self.record.config

    @property
    def summary(self) -> dict[str, Any] | None:
        """The content of ``summary.json``; None if the run was killed."""
        return self.record.summary

    @cached_property
    def metrics(self) -> DataFrame:
        """One row per arm, round and agent, with what was measured there; round 0 is before training."""
        import pandas

        rows = [
            {"arm": arm, **_with_nan(row), "agent": agent_number(row["agent"])}
            for arm in ARMS
            for row in self.record.rows(arm)
        ]
        names = dict.fromkeys(name for row in rows for name in row if name not in _KEYS)
        return pandas.DataFrame(rows, columns=[*_KEYS, *names])

    @cached_property
    def rounds(self) -> DataFrame:
        """One row per arm and round: counts are summed over agents, other numbers averaged."""
        whole = {
            name
            for arm in ARMS
            for row in self.record.rows(arm)
            for name, value in row.items()
            if isinstance(value, int)
        }
        by_round = self.metrics.drop(columns="agent").groupby(["arm", "round"], sort=False)
        table = by_round.mean()
        counts = [name for name in table.columns if name in whole]
        table[counts] = by_round[counts].sum(min_count=1)
        return table.reset_index()

    @cached_property
    def agents(self) -> DataFrame:
        """One row per arm and agent: its role, and its last evaluation; ``untrained`` is round 0."""
        found = outcome(self.record)
        table = quality_table(
            {
                UNTRAINED: found.before,
                TOGETHER: found.together,
                ISOLATED: found.isolated,
                SELF_TRAINING: found.self_training,
            }
        )
        network, places = self.record.network, table["agent"].to_numpy()
        columns = {"name": self.record.names, "role": network.roles, "level": network.levels}
        for index, (column, values) in enumerate(columns.items(), start=2):
            table.insert(index, column, [values[place] for place in places])
        return table

    @cached_property
    def ledger(self) -> DataFrame:
        """One row per delivery: round, hop, sender, receiver, kind, bytes, and bytes without a codec.

        Raises:
            RecordError: the run stopped before it wrote its ledger.
        """
        import pandas

        if self.record.ledger is None:
            raise RecordError(
                f"The run in {self.directory} has no ledger",
                hint="it stopped before its ledger was written; 'agentos resume' continues it",
            )
        return pandas.DataFrame(self.record.ledger.rows())


@dataclass(frozen=True)
class RecordedRuns:
    """Several run folders, with tables over all of them.

    Every table begins with the column ``run``, and the fields in which the runs differ, by their dotted
    paths: ``runs.agents.groupby("topology.kind")["mrr"].mean()``.

    Args:
        runs: the runs; `labels` tells apart those of one name by their folders.
    """

    runs: tuple[RecordedRun, ...]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[RecordedRun]:
        return iter(self.runs)

    def __getitem__(self, index: int) -> RecordedRun:
        return self.runs[index]

    @property
    def labels(self) -> tuple[str, ...]:
        """One label per run, each once."""
        return run_labels([(run.name, run.directory) for run in self.runs])

    @cached_property
    def differences(self) -> list[Fields]:
        """The fields in which the runs differ, by dotted path, for each run."""
        return differing_fields([run.config for run in self.runs])

    @cached_property
    def metrics(self) -> DataFrame:
        """The `metrics` of all runs."""
        return self._stacked(lambda run: run.metrics)

    @cached_property
    def rounds(self) -> DataFrame:
        """The `rounds` of all runs."""
        return self._stacked(lambda run: run.rounds)

    @cached_property
    def agents(self) -> DataFrame:
        """The `agents` of all runs."""
        return self._stacked(lambda run: run.agents)

    @cached_property
    def ledger(self) -> DataFrame:
        """The `ledger` of all runs.

        Raises:
            RecordError: a run stopped before it wrote its ledger.
        """
        return self._stacked(lambda run: run.ledger)

    def _stacked(self, table: Callable[[RecordedRun], DataFrame]) -> DataFrame:
        import pandas

        parts = []
        for run, label, fields in zip(self.runs, self.labels, self.differences, strict=True):
            part = table(run)
            told = {path: _cell(value) for path, value in fields.items()}
            part = part.drop(columns=[column for column in told if column in part])
            keys = pandas.DataFrame({"run": label, **told}, index=part.index, dtype=object)
            parts.append(pandas.concat([keys.infer_objects(), part], axis="columns"))
        return pandas.concat(parts, ignore_index=True)


def load_run(directory: str | Path) -> RecordedRun:
    """Read a run folder, whether its run finished, was interrupted, or is still in progress.

    Example:
        >>> import agentos
        >>> run = agentos.load_run("runs/quickstart")  # doctest: +SKIP
        >>> run.metrics.groupby("round")["loss"].mean()  # doctest: +SKIP

    Raises:
        RecordError: the folder is missing or is not a run folder, a link leads out of it, or one of its files
            is damaged.
    """
    return RecordedRun(reader.load_run(directory))


def load_runs(folders: str | Path | Iterable[str | Path]) -> RecordedRuns:
    """Read several run folders.

    Args:
        folders: the folders; or a glob, such as ``runs/study/runs/*``, for those that it finds in the order
            of their paths. Matches that are not run folders are left out.

    Raises:
        RecordError: there is no run folder, a folder that was named is none, or one is damaged.
    """
    if isinstance(folders, (str, Path)):
        named: Sequence[str | Path] = sorted(
            found
            for found in glob.glob(str(Path(folders).expanduser()), recursive=True)
            if (Path(found) / CONFIG).is_file()
        )
    else:
        named = list(folders)
    if not named:
        raise RecordError(
            "There are no runs to load",
            expected=f"folders that hold {CONFIG}",
            actual=str(folders),
            hint="name folders that 'agentos run' wrote, or a glob that finds them, such as 'runs/*'",
        )
    return RecordedRuns(tuple(load_run(directory) for directory in named))


def _with_nan(row: reader.Row) -> reader.Row:
    """Return a line of metrics with NaN for numbers that were not finite."""
    return {name: math.nan if value is None else value for name, value in row.items()}


def _cell(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str, type(None))) else setting_text(value)
