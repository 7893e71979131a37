"""Run a society from a configuration: the Python entry point."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentos.config.run import RunConfig
from agentos.config.yaml_values import dump
from agentos.events import Listener, Listeners
from agentos.preflight.auto_precision import settle
from agentos.records.agent_similarity import SimilarityRecorder, draw_sample
from agentos.records.checkpoints import ARMS, Checkpoints, forget
from agentos.records.reader import TRACE
from agentos.records.recorder import Recorder
from agentos.records.reports import ArmResult, Begun, RoundReport
from agentos.records.result import Result, summarise
from agentos.rounds.asynchronous import AsynchronousCoordinator
from agentos.rounds.clock.config import Asynchronous
from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.clock.timing import Timing, timing_of
from agentos.rounds.faults.injector import FaultInjector
from agentos.rounds.health.monitor import HealthMonitor, health_monitor
from agentos.rounds.recovery import Recovery
from agentos.rounds.resumption import ISOLATED, TOGETHER, Resumption
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime.profiling.profile import Profile, ProfiledSession
from agentos.runtime.profiling.trace_file import write_trace
from protocols.errors import RuntimeFailure
from protocols.topologies import Network

if TYPE_CHECKING:
    from agentos.runtime import Session
    from agents.training.blueprint import Arm, Blueprint

logger = logging.getLogger(__name__)


class Simulation:
    """A run of a society: prepares, trains, compares with isolated agents, records.

    Args:
        config: what to run. Instances of your own objectives, exchanges, topologies and sources work
            wherever the configuration takes a kind.
        out: the run folder; a new one under ``runs/`` if not given.
        listener: is told what happens.
        address: of a Ray cluster to join.
        cache: where prepared text is kept; ``$AGENTOS_CACHE`` or ``~/.cache/agentos`` if not given.
        profile: whether to write what took how long, host by host, to ``trace.json``.

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

        Args:
            resumption: from where to go on, where the folder holds a run that stopped; see `resume`.

        Interrupted by Ctrl-C, it ends every host, completes the records with what is there, and raises
        `KeyboardInterrupt` again.

        Returns:
            What is in ``summary.json``, typed.

        Raises:
            AgentOSError: the run cannot begin, or cannot go on; the records hold what was finished.
        """
        from agentos.preparation import blueprint_of, prepare_corpus

        config, network = self.config, self.config.network()
        timing = timing_of(config, network)  # before anybody waits: a trace may be wrong
        with Recorder(self.directory) as recorder, ExitStack() as stack:
            # Claimed first: nobody should wait for a corpus to learn that the folder is taken.
            anew = resumption is None or resumption.branches
            if anew:
                recorder.claim()
            elif resumption is not None:
                kept = {arm: resumption.last_round(arm) for arm in ARMS}
                forget(self.directory, kept)
                recorder.go_on(kept)
            try:
                wait = stack.enter_context(self.config.runtime.ahead(self.address))
                corpus = prepare_corpus(self.config, self._listener, self.cache)
                blueprint = blueprint_of(self.config, corpus, self._listener, self.cache)
                began = time.perf_counter()
                session, measured = self._started(blueprint, wait)
            except BaseException:
                _remove_if_empty(self.directory)
                raise
            with session:
                config = self.config
                if anew:
                    text = dump(config.resolved())
                    recorder.start(text, network, corpus.names, config.evaluation.metrics, measured)
                between = None
                if config.evaluation.between_agents:
                    between = SimilarityRecorder(self.directory, draw_sample(config, corpus))
                watch = health_monitor(config, corpus, network)
                run = _Run(self, network, session, recorder, began, between, watch, timing)
                if resumption is not None and resumption.branches:
                    resumption = run.branch(resumption)
                return run.run(resumption or Resumption())

    def _started(
        self, blueprint: Blueprint, wait: Callable[[], str | None]
    ) -> tuple[Session, dict[str, Any]]:
        """Return hosts that are ready, and what was measured to choose what the configuration left open."""
        self._listener.on_stage("Starting hosts")
        session = self.config.runtime.start(blueprint, wait())
        if self.profile is not None:
            session = ProfiledSession(session, self.profile)
        try:
            self.config, measured = settle(self.config, session, blueprint)
        except BaseException:
            session.close()
            raise
        return session, measured


def compares_with_isolated(config: RunConfig) -> bool:
    """Whether a run trains its agents alone as well; agents that exchange nothing are alone."""
    return config.baseline.isolated and config.exchange.kind != "isolated"


class _Run:
    """One run, from started hosts to finished records."""

    def __init__(
        self,
        simulation: Simulation,
        network: Network,
        session: Session,
        recorder: Recorder,
        began: float,
        between: SimilarityRecorder | None,
        watch: HealthMonitor | None,
        timing: Timing | None,
    ) -> None:
        self.simulation = simulation
        self.config = simulation.config
        self.network = network
        self.session = session
        self.recorder = recorder
        self.began = began
        self.between = between
        self.watch = watch
        self.timing = timing
        self.recovery = Recovery(
            self.config.policy, session, recorder, simulation._listener.on_restart
        )
        self.script = FaultInjector(
            self.config.faults, self.config.policy, self.config.seed, self.config.agents.total
        )
        self.results: dict[str, ArmResult] = {}

    def run(self, resumption: Resumption) -> Result:
        status = "failed"
        self.results.update(resumption.finished)
        try:
            with self.session as session:
                if TOGETHER not in self.results:
                    self._arm(TOGETHER, session, resumption.begun.get(TOGETHER))
                if compares_with_isolated(self.config):
                    self._arm(ISOLATED, session, resumption.begun.get(ISOLATED))
            status = "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            result = self._close_records(status)
        return result

    def branch(self, resumption: Resumption) -> Resumption:
        """Take over what another run recorded and its checkpoint."""
        for report in resumption.begun[TOGETHER].rounds:
            _Recording(self.recorder).on_round(report)
        return resumption.into(self.simulation.directory)

    def _arm(self, name: str, session: Session, begun: Begun | None) -> None:
        """Take an arm to its end, as often as hosts are lost on the way and the policy allows."""
        while True:
            try:
                return self._attempt(name, session, begun)
            except RuntimeFailure as error:
                begun = self.recovery.recover(error, name, self.results[name].rounds, begun)

    def _attempt(self, name: str, session: Session, begun: Begun | None) -> None:
        log = self.recorder if name == TOGETHER else self.recorder.baseline()
        on_round = Listeners(_Recording(log), self.simulation._listener).on_round
        arm = self._exchange_of(name)
        clock = self.config.clock
        checkpoints = Checkpoints(self.simulation.directory, self.config.checkpoints)
        coordinator: SynchronousCoordinator | AsynchronousCoordinator
        # Agents that train alone wait for nobody anyway.
        if self.timing and clock and isinstance(clock.mode, Asynchronous) and name == TOGETHER:
            coordinator = AsynchronousCoordinator(
                self.config,
                self.network,
                session,
                arm,
                name,
                on_round,
                self.timing,
                clock.mode,
                self.watch,
                checkpoints,
            )
        else:
            coordinator = SynchronousCoordinator(
                self.config,
                self.network,
                session,
                arm,
                name,
                on_round,
                # Both arms begin with the same weights.
                before=self.results[TOGETHER].before if name == ISOLATED else None,
                checkpoints=checkpoints,
                watch=self.watch if name == TOGETHER else None,
                timeline=Timeline(self.timing) if self.timing else None,
                script=self.script,
            )
        self.results[name] = coordinator.result
        coordinator.run(begun)
        if self.between is not None:
            self.simulation._listener.on_stage("Comparing agents")
            self.between.record(name, session)
        if name == TOGETHER:
            self.recorder.ledger(coordinator.result.ledger)
            self._save_encoders(session)

    def _exchange_of(self, name: str) -> Arm:
        from agents.exchange.isolated import Isolated
        from agents.training.blueprint import Arm

        exchange = self.config.exchange
        if name == ISOLATED:
            as_text = self.config.baseline.anchors_as_text
            exchange = Isolated(anchor_share=exchange.anchor_fraction if as_text else 0.0)
        return Arm(exchange, exchange.anchor_fraction, self.config.policy.checksums)

    def _save_encoders(self, session: Session) -> None:
        self.simulation._listener.on_stage("Saving encoders")
        folder = self.simulation.directory.absolute() / "encoders"
        calls: dict[int, tuple[dict[int, Path]]] = {}
        for agent in self.config.some_agents(self.config.saved_encoders):
            host = session.placement[agent]
            calls.setdefault(host, ({},))[0][agent] = folder / f"agent-{agent}"
        session.call("save", calls)

    def _close_records(self, status: str) -> Result:
        from agentos.reporting.report import write_report

        together = self.results.get(TOGETHER, ArmResult())
        self.recorder.ledger(together.ledger)
        result = summarise(
            self.config,
            self.simulation.directory,
            status=status,
            wall_s=time.perf_counter() - self.began,
            together=together,
            isolated=self.results.get(ISOLATED),
            metrics=self.config.evaluation.metrics,
        )
        self.recorder.summary(result.as_json())
        self.recorder.close()
        if self.simulation.profile is not None:
            write_trace(self.simulation.profile, self.simulation.directory / TRACE)
        write_report(self.simulation.directory)
        return result


class _Recording(Listener):
    def __init__(self, log: Any) -> None:
        self._log = log

    def on_round(self, report: RoundReport) -> None:
        rows: Sequence[dict[str, Any]] = [
            {"agent": agent, "round_s": report.round_s, **values}
            for agent, values in report.metrics.items()
        ]
        self._log.round(report.round, rows)
        if report.health is not None:
            self._log.health(report.round, report.health)
        if report.faults and report.arm == TOGETHER:
            self._log.faults(report.round, report.faults)


def _remove_if_empty(directory: Path) -> None:
    """Leave nothing behind of a run that never began."""
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
