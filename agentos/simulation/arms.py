"""The arms of a run, from started hosts to finished records: the society together, and its agents alone."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from agentos.config.run import RunConfig
from agentos.evaluation.joint.joint_plan import JointPlan
from agentos.events import Listener, Listeners
from agentos.events.phase_times import PhaseTimes
from agentos.records.agent_similarity import SimilarityRecorder
from agentos.records.checkpoints import Checkpoints
from agentos.records.layout import BASELINES, ENCODERS, ISOLATED, SELF_TRAINING, TOGETHER, TRACE
from agentos.records.recorder import Recorder
from agentos.records.reports import ArmResult, Begun, RoundReport
from agentos.records.result import Result, RunIdentity, summarise
from agentos.reporting.report import write_report
from agentos.rounds.asynchronous import AsynchronousCoordinator
from agentos.rounds.base import Coordinator, RoundServices, RoundsPlan
from agentos.rounds.clock.config import Asynchronous
from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.clock.timing import Timing
from agentos.rounds.faults.injector import FaultInjector
from agentos.rounds.final_states import compare_agents, save_encoders
from agentos.rounds.health.monitor import HealthMonitor
from agentos.rounds.recovery import Recovery
from agentos.rounds.resumption import Resumption
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime import Session
from agentos.runtime.profiling.profile import Profile
from agentos.runtime.profiling.trace_file import write_trace
from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.isolated import Isolated
from agents.training.blueprint import Arm
from protocols.errors import AgentOSError, RuntimeFailure
from protocols.topologies import Network

logger = logging.getLogger(__name__)


def baselines_of(config: RunConfig) -> tuple[str, ...]:
    """Return the baselines of a run; one without exchange trains its agents alone anyway."""
    about_anchors = isinstance(config.exchange, AnchorExchange)
    wanted = {
        ISOLATED: config.baseline.isolated and config.exchange.kind != "isolated",
        SELF_TRAINING: config.baseline.self_training and about_anchors,
    }
    return tuple(name for name in BASELINES if wanted[name])


@dataclass(frozen=True)
class RunSetting:
    """The parts of a run that its arms share.

    Attributes:
        directory: the run folder.
        began_s: when hosts began to start, on `time.perf_counter`.
        timing: durations of training and messages; None without a clock.
        monitor: monitor of the agents' health; None if it is not monitored.
        similarity: compares the agents at the end; None for no comparison.
        joint: evaluation of joint embeddings at the end of each arm; None for none.
        profile: profile of the hosts' work; None if the run is not profiled.
    """

    config: RunConfig
    directory: Path
    listener: Listener
    began_s: float
    network: Network
    session: Session
    recorder: Recorder
    timing: Timing | None
    monitor: HealthMonitor | None
    similarity: SimilarityRecorder | None
    joint: JointPlan | None
    profile: Profile | None


class Arms:
    """The arms of one run.

    Args:
        setting: the setting that the arms share.

    Attributes:
        results: results of each arm that has begun.
    """

    def __init__(self, setting: RunSetting) -> None:
        config = setting.config
        self.config = config
        self.setting = setting
        self.checkpoints = Checkpoints(
            setting.directory, config.checkpoints, config.training.local_steps
        )
        self.session = setting.session
        self.recorder = setting.recorder
        self.times = PhaseTimes()
        self.listener = Listeners(self.times, setting.listener)
        self.recovery = Recovery(
            config.policy, self.session, self.recorder, self.listener.on_restart
        )
        self.injector = FaultInjector(
            config.faults, config.policy, config.seed, config.agents.total
        )
        self.results: dict[str, ArmResult] = {}
        self._kept_ledger = False

    def run(self, resumption: Resumption) -> Result:
        """Take every arm to its end, and complete the records: after a failure, before the hosts end."""
        self.results.update(resumption.finished)
        self._kept_ledger = TOGETHER in self.results  # checkpoints hold the digest of its file
        with self.session:
            try:
                if TOGETHER not in self.results:
                    self._arm(TOGETHER, resumption.begun.get(TOGETHER))
                for name in baselines_of(self.config):
                    if name not in self.results:
                        self._arm(name, resumption.begun.get(name))
            except (KeyboardInterrupt, SystemExit):
                self._close_despite_failure("interrupted")
                raise
            except BaseException:
                self._close_despite_failure("failed")
                raise
        result = self._close_records("finished")
        self.checkpoints.finish()
        return result

    def _close_despite_failure(self, status: str) -> None:
        """Complete the records as far as possible; what ended the run is the error that is reported."""
        try:
            self._close_records(status)
        except (AgentOSError, OSError) as error:
            logger.warning("the records are incomplete: %s", error)

    def branch(self, resumption: Resumption) -> Resumption:
        """Take over the records of another run, and its checkpoint."""
        for report in resumption.begun[TOGETHER].rounds:
            self.recorder.on_round(report)
        return resumption.into(self.setting.directory)

    def _arm(self, name: str, begun: Begun | None) -> None:
        """Take an arm to its end, as often as hosts are lost meanwhile and the policy allows."""
        while True:
            try:
                return self._attempt(name, begun)
            except RuntimeFailure as error:
                begun = self.recovery.recover(error, name, self.results[name].rounds, begun)

    def _attempt(self, name: str, begun: Begun | None) -> None:
        coordinator = self._coordinator(name)
        self.results[name] = coordinator.result
        coordinator.run(begun)
        if self.setting.similarity is not None:
            self.listener.on_stage("Comparing agents")
            compare_agents(self.session, self.setting.similarity, name)
        if name == TOGETHER:
            self.recorder.ledger(coordinator.result.ledger)
        if name == TOGETHER or (name == ISOLATED and self.config.baseline.saved_encoders):
            self.listener.on_stage("Saving encoders")
            agents = self.config.agents.spread(self.config.saved_encoders)
            folder = self.setting.directory.absolute() / ("" if name == TOGETHER else name)
            save_encoders(self.session, agents, folder / ENCODERS)

    def _coordinator(self, name: str) -> Coordinator:
        config, setting, is_together = self.config, self.setting, name == TOGETHER
        count = config.evaluation.agents
        plan = RoundsPlan(
            name=name,
            arm=arm_of(config, name),
            network=setting.network,
            rounds=config.training.rounds,
            evaluation=config.evaluation,
            evaluated=None if count is None else config.agents.spread(count),
            # Both arms begin with the same weights.
            before=None if is_together else self.results[TOGETHER].before,
            joint=setting.joint,
        )
        services = RoundServices(
            on_round=self._on_round,
            monitor=setting.monitor if is_together else None,
            checkpoints=self.checkpoints,
            on_phase=self.listener.on_phase,
        )
        mode = config.clock.mode if config.clock else None
        # Agents that train alone do not wait for each other anyway.
        if setting.timing and isinstance(mode, Asynchronous) and is_together:
            return AsynchronousCoordinator(plan, self.session, services, setting.timing, mode)
        timeline = Timeline(setting.timing) if setting.timing else None
        return SynchronousCoordinator(plan, self.session, services, timeline, self.injector)

    def _on_round(self, report: RoundReport) -> None:
        self.recorder.on_round(report)
        self.listener.on_traffic(report.arm, report.round, self.results[report.arm].ledger)
        self.listener.on_round(report)

    def _close_records(self, status: str) -> Result:
        together = self.results.get(TOGETHER, ArmResult())
        if not self._kept_ledger:
            self.recorder.ledger(together.ledger)
        run = RunIdentity(
            self.setting.directory,
            self.config.name,
            self.config.seed,
            self.config.training.local_steps,
            self.config.evaluation.metrics,
        )
        self.times.close()
        result = summarise(
            run,
            together,
            {name: self.results[name] for name in BASELINES if name in self.results},
            status=status,
            wall_s=time.perf_counter() - self.setting.began_s,
            phase_s=self.times.seconds,
        )
        self.recorder.summary(result.as_json())
        self.recorder.close()
        if self.setting.profile is not None:
            write_trace(self.setting.profile, self.setting.directory / TRACE)
        write_report(self.setting.directory)
        return result


def arm_of(config: RunConfig, name: str) -> Arm:
    """Return the exchange of an arm; agents that train alone may still read the anchors as text."""
    exchange = config.exchange
    if name == ISOLATED:
        share = exchange.anchor_fraction if config.baseline.anchors_as_text else 0.0
        exchange = Isolated(anchor_share=share)
    else:
        share = exchange.anchor_fraction
    if name == SELF_TRAINING:
        exchange = exchange.model_copy(update={"teacher": "own"})
    policy = config.policy
    return Arm(exchange, share, policy.checksums, undoes_diverged=policy.on_nan == "pause")
