"""A search by Optuna: trial after trial, each a few runs of a sweep; an interrupted search goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from agentos.evaluation.base import Metric
from agentos.records.layout import METRICS
from agentos.sweep.config import SweepConfig
from agentos.sweep.execute import PROCESSES, Folder, Report, execute
from agentos.sweep.plan import Planned, plan
from agentos.sweep.rows import FINISHED
from agentos.sweep.search_config import Range, SearchConfig
from agentos.sweep.worker_process import Launcher
from protocols.errors import ConfigurationError
from protocols.seeding import derive

JOURNAL = "search.log"
"""The trials, in Optuna's journal format; in the sweep's folder."""


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
        metric: the metric that was optimised.
        planned: the runs of all trials.
        trials, pruned, failed: numbers of trials.
        best: name of the best trial, its fields and its value; None if none was completed.
    """

    metric: Metric
    planned: list[Planned]
    trials: int
    pruned: int
    failed: int
    best: tuple[str, dict[str, Any], float] | None


class Search:
    """A search in a folder.

    Args:
        path: the sweep's folder.
        sweep: the sweep, whose search is set.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        ConfigurationError: Optuna is not installed, or no task measures the metric.
    """

    def __init__(self, path: Path, sweep: SweepConfig, trusted: Iterable[str] | None = ()) -> None:
        assert sweep.search is not None
        if find_spec("optuna") is None:
            raise ConfigurationError(
                "the sweep has a search, and the package optuna is not installed",
                expected="an installed optuna",
                hint="pip install 'llm-agentos[optuna]', or name arms in place of the search",
            )
        self.path = path
        self.sweep = sweep
        self.trusted = tuple(trusted or ())
        self.config: SearchConfig = sweep.search
        self.first = self._plan("trial-0", self._first())
        self.metric = _metric(self.config, self.first)

    def run(
        self,
        *,
        jobs: int,
        on_start: Callable[[Planned], None] = lambda run: None,
        on_end: Report = lambda run, row: None,
        keep_encoders: bool = False,
        launcher: Launcher = PROCESSES,
    ) -> Found:
        """Run the trials that are left; see `agentos.sweep.execute.execute`.

        Raises:
            Interrupted: by Ctrl-C, SIGTERM or SIGHUP; the same search then goes on.
            InvalidConfiguration: a trial has fields that are out of range.
        """
        study = self._study()
        planned = [run for trial in study.trials for run in self._runs(trial)]
        while sum(trial.state.is_finished() for trial in study.trials) < self.config.trials:
            trial = study.ask()
            for path, values in self.config.space.items():
                _suggest(trial, path, values)
            runs = self._runs(trial)
            planned += runs
            folder = Folder(self.path, planned)
            judge = _Judge(trial, folder.of(runs[0]) / METRICS, self.metric, self.config.prune)
            left = [run for run in runs if (folder.row(run) or {}).get("status") != FINISHED]
            execute(
                folder, left, jobs=jobs, on_start=on_start, on_end=on_end, launcher=launcher,
                keep_encoders=keep_encoders, trusted=self.trusted, stops=judge,
            )  # fmt: skip
            self._tell(study, trial, [folder.row(run) or {} for run in runs], judge.pruned)
        return self._found(study, planned)

    def _tell(self, study: Any, trial: Any, rows: list[dict[str, Any]], pruned: bool) -> None:
        from optuna.trial import TrialState

        name = f"{self.metric.name}.mean"
        values: list[float] = [row[name] for row in rows if row.get(name) is not None]
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
        elif len(values) < len(rows):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, fmean(values))

    def _found(self, study: Any, planned: list[Planned]) -> Found:
        from optuna.trial import TrialState

        states = [trial.state for trial in study.trials]
        best = None
        if TrialState.COMPLETE in states:
            trial = study.best_trial
            best = (_name(trial), dict(trial.params), float(trial.value))
        return Found(
            metric=self.metric,
            planned=planned,
            trials=len([state for state in states if state.is_finished()]),
            pruned=states.count(TrialState.PRUNED),
            failed=states.count(TrialState.FAIL),
            best=best,
        )

    def _study(self) -> Any:
        """Return the study of the folder; a trial that was cut off is drawn again with the same fields."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(self.path / JOURNAL)))
        direction = self.config.direction or (
            "maximize" if self.metric.higher_is_better else "minimize"
        )
        study = optuna.create_study(
            storage=storage, study_name="search", load_if_exists=True, direction=direction,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=self.config.startup),
        )  # fmt: skip
        # Another seed for each number of trials: a search that goes on does not draw the same again.
        seed = derive(self.sweep.seeds[0], "search", len(study.trials)) % 2**32
        study.sampler = (
            optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.config.startup)
            if self.config.sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        return study

    def _runs(self, trial: Any) -> list[Planned]:
        return self._plan(_name(trial), trial.params) if trial.params else []

    def _plan(self, name: str, fields: dict[str, Any]) -> list[Planned]:
        update = {"search": None, "arms": {name: fields}}
        return plan(self.sweep.model_copy(update=update), self.trusted)

    def _first(self) -> dict[str, Any]:
        return {
            path: values.low if isinstance(values, Range) else values[0]
            for path, values in self.config.space.items()
        }


class _Judge:
    """Tells whether a trial is to end: its first run has been evaluated, and the pruner would not go on."""

    def __init__(self, trial: Any, path: Path, metric: Metric, prunes: bool) -> None:
        self.pruned = False
        self._trial, self._path, self._metric, self._prunes = trial, path, metric, prunes
        self._told, self._size = -1, -1

    def __call__(self, run: Planned) -> bool:
        """Return whether a run of the trial is to be stopped."""
        if not self._prunes or self.pruned or not self._path.is_file():
            return self.pruned
        size = self._path.stat().st_size
        if size == self._size:
            return False
        self._size = size
        for round, value in evaluated(self._path, self._metric.name).items():
            if round > self._told:
                self._told = round
                self._trial.report(value, round)
                self.pruned = self.pruned or self._trial.should_prune()
        return self.pruned


def evaluated(path: Path, metric: str) -> dict[int, float]:
    """Return the mean over agents of a metric by round, of rounds that are written in whole."""
    values: dict[int, list[float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        row = json.loads(line) if line.endswith("\n") else {}
        if row.get(metric) is not None:
            values.setdefault(row["round"], []).append(row[metric])
    return {round: fmean(found) for round, found in values.items()}


def _suggest(trial: Any, path: str, values: Any) -> None:
    if not isinstance(values, Range):
        trial.suggest_categorical(path, list(values))
    elif values.whole:
        trial.suggest_int(path, values.low, values.high, step=values.step or 1, log=values.log)
    else:
        trial.suggest_float(path, values.low, values.high, step=values.step, log=values.log)


def _metric(config: SearchConfig, runs: Sequence[Planned]) -> Metric:
    metrics = {metric.name: metric for metric in runs[0].config.evaluation.metrics}
    outcomes = [metric for metric in metrics.values() if not metric.diagnostic]
    found = metrics.get(config.metric) if config.metric else next(iter(outcomes), None)
    if found is None:
        raise ConfigurationError(
            f"search.metric {config.metric!r} is measured by no task of the runs",
            expected=", ".join(metrics),
            actual=repr(config.metric),
            hint="name one of them, or add its task to base.evaluation.tasks",
        )
    return found


def _name(trial: Any) -> str:
    return f"trial-{trial.number}"
