"""Run a society from a configuration: the Python entry point."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from agentos.arms import Arms, RunSetting, arm_of
from agentos.config.run import RunConfig
from agentos.config.yaml_values import dump
from agentos.data.corpus import Corpus
from agentos.events import Listener, Listeners
from agentos.preflight.auto_precision import choose_precision
from agentos.preflight.flops import sizes_of
from agentos.preparation import blueprint_of, prepare_corpus
from agentos.records.agent_similarity import SimilarityRecorder, draw_sample
from agentos.records.checkpoints import forget
from agentos.records.layout import ARMS, TOGETHER
from agentos.records.recorder import Recorder
from agentos.records.result import Result
from agentos.rounds.clock.timing import Timing, timing_of
from agentos.rounds.health.monitor import health_monitor
from agentos.rounds.resumption import Resumption
from agentos.runtime import Session
from agentos.runtime.profiling.profile import Profile, ProfiledSession
from agents.training.blueprint import Blueprint


class Simulation:
    """A run of a society: prepares, trains, compares with isolated agents, records.

    Args:
        config: what to run. Instances of your own objectives, exchanges, topologies and sources work
            wherever the configuration takes a kind.
        out: the run folder; a new one under ``runs/`` if not given.
        listener: receives the events of the run.
        address: of a Ray cluster to join.
        cache: folder for prepared text; ``$AGENTOS_CACHE`` or ``~/.cache/agentos`` if not given.
        profile: whether to write ``trace.json``, with the durations of all work, host by host.

    Example:
        >>> from agentos import RunConfig, Simulation
        >>> config = RunConfig.model_validate({"runtime": {"kind": "local"}})
        >>> result = Simulation(config).run()  # doctest: +SKIP
        >>> result.mean["mrr"], result.isolated.mean["mrr"]  # doctest: +SKIP
    """

    def __init__(
        self,
        config: RunConfig,
        out: str | Path | None = None,
        listener: Listener | None = None,
        address: str | None = None,
        cache: Path | None = None,
        profile: bool = False,
    ) -> None:
        self.config = config
        self.directory = Path(out) if out is not None else _new_directory(config.name)
        self.address = address
        self.cache = cache
        self.profile = Profile() if profile else None
        self._listener = Listeners(*filter(None, (listener, self.profile)))

    def run(self, resumption: Resumption | None = None) -> Result:
        """Run to the end.

        Interrupted by Ctrl-C, it ends every host, completes the records with what is there, and raises
        `KeyboardInterrupt` again.

        Args:
            resumption: the point to continue from, where the folder holds a run that stopped; see `resume`.

        Returns:
            The content of ``summary.json``, typed.

        Raises:
            AgentOSError: the run cannot begin or continue; the records hold what was finished.
        """
        config = self.config
        timing = _timing_of(config)  # first of all: a trace may be wrong
        with Recorder(self.directory) as recorder, ExitStack() as stack:
            is_new = resumption is None or resumption.branches
            self._claim(recorder, None if is_new else resumption)
            try:
                connect = stack.enter_context(config.runtime.ahead(self.address))
                corpus = prepare_corpus(config, self._listener, self.cache)
                blueprint = blueprint_of(config, corpus, self._listener, self.cache)
                began = time.perf_counter()
                session, measured = self._started(blueprint, connect)
            except BaseException:
                _remove_if_empty(self.directory)
                raise
            with session:
                setting = self._setting(corpus, session, recorder, timing, began)
                if is_new:
                    recorder.start(
                        dump(self.config.resolved()),
                        setting.network,
                        corpus.names,
                        self.config.evaluation.metrics,
                        measured,
                    )
                arms = Arms(setting)
                if resumption is not None and resumption.branches:
                    resumption = arms.branch(resumption)
                return arms.run(resumption or Resumption())

    def _claim(self, recorder: Recorder, resumption: Resumption | None) -> None:
        """Claim the run folder before the corpus is read, so that a folder in use is reported at once."""
        if resumption is None:
            recorder.claim()
        else:
            kept = {arm: resumption.last_round(arm) for arm in ARMS}
            forget(self.directory, kept)
            recorder.go_on(kept)

    def _started(
        self, blueprint: Blueprint, connect: Callable[[], str | None]
    ) -> tuple[Session, dict[str, Any]]:
        """Return hosts that are ready, and the measurements behind what the configuration left open."""
        self._listener.on_stage("Starting hosts")
        session = self.config.runtime.start(blueprint, connect())
        if self.profile is not None:
            session = ProfiledSession(session, self.profile)
        try:
            arm = arm_of(self.config, TOGETHER)
            training, measured = choose_precision(session, blueprint, arm)
        except BaseException:
            session.close()
            raise
        if training != self.config.training:
            self.config = self.config.model_copy(update={"training": training})
        return session, measured

    def _setting(
        self,
        corpus: Corpus,
        session: Session,
        recorder: Recorder,
        timing: Timing | None,
        began_s: float,
    ) -> RunSetting:
        config, network = self.config, self.config.network()
        similarity = monitor = None
        if config.evaluation.between_agents:
            similarity = SimilarityRecorder(
                self.directory, draw_sample(corpus, config.agents.total, config.seed)
            )
        if config.exchange.kind != "isolated":
            monitor = health_monitor(config.health, corpus, network, config.seed)
        return RunSetting(
            config=config,
            directory=self.directory,
            listener=self._listener,
            began_s=began_s,
            network=network,
            session=session,
            recorder=recorder,
            timing=timing,
            monitor=monitor,
            similarity=similarity,
            profile=self.profile,
        )


def _timing_of(config: RunConfig) -> Timing | None:
    if config.clock is None:
        return None
    costs = sizes_of(config.society().encoders) if config.clock.work == "flops" else {}
    length = config.training.max_length
    return timing_of(config.clock, config.network(), config.seed, costs, length)


def _remove_if_empty(directory: Path) -> None:
    """Remove the folder of a run that never began."""
    if not any(directory.iterdir()):
        directory.rmdir()


def _new_directory(name: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    directory = Path("runs") / f"{name}-{stamp}"
    suffix = 1
    while directory.exists():
        suffix += 1
        directory = Path("runs") / f"{name}-{stamp}-{suffix}"
    return directory
