"""Run a society from a configuration: the Python entry point."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.data.yaml_values import dump
from agentos.events import Listener, Listeners
from agentos.events.following import followed
from agentos.events.progress_bar import ProgressBar
from agentos.events.trackers import TrackerListener
from agentos.preflight.auto_precision import choose_precision
from agentos.preflight.flops import sizes_of
from agentos.preflight.stack_sizes import describe_stacks
from agentos.records.agent_similarity import SimilarityRecorder, draw_sample
from agentos.records.atomic_files import writing
from agentos.records.checkpoints import forget
from agentos.records.identity.digests import of_run
from agentos.records.identity.fingerprint import Fingerprint
from agentos.records.layout import ARMS, HELDOUT, TOGETHER
from agentos.records.recorder import Recorder
from agentos.records.result import Result
from agentos.rounds.clock.timing import Timing, timing_of
from agentos.rounds.health.monitor import health_monitor
from agentos.rounds.resumption import Resumption
from agentos.runtime import Session
from agentos.runtime.profiling.profile import Profile, ProfiledSession
from agentos.simulation.arms import Arms, RunSetting, arm_of, baselines_of
from agentos.simulation.preparation import blueprint_of, joint_plan, prepare_corpus
from agents.training.blueprint import Blueprint
from protocols.errors import RuntimeFailure


class Simulation:
    """A run of a society: prepares, trains, compares with isolated agents, records.

    Args:
        config: what to run. Instances of your own objectives, exchanges, topologies and sources work
            wherever the configuration takes a kind.
        out: the run folder; a new one under ``runs/`` if not given.
        listener: receives the events of the run.
        address: address of a Ray cluster to join.
        cache: folder for prepared text; ``$AGENTOS_CACHE`` or ``~/.cache/agentos`` if not given.
        profile: whether to write ``trace.json``, with the durations of all work, host by host.
        corpus: text that is prepared and divided already, in place of what `config.data` alone would give.
            Such a run cannot be resumed.

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
        corpus: Corpus | None = None,
    ) -> None:
        self.config = config
        self.directory = Path(out) if out is not None else _new_directory(config.name)
        self.address = address
        self.cache = cache
        self.corpus = corpus
        self.profile = Profile() if profile else None
        self._given = tuple(filter(None, (listener, self.profile)))
        self._listener = Listeners(*self._given)

    def run(self, resumption: Resumption | None = None, *, progress: bool = False) -> Result:
        """Run to the end.

        Interrupted by Ctrl-C, it ends every host, completes the records with what is there, and raises
        `KeyboardInterrupt` again.

        Args:
            resumption: the point to continue from, where the folder holds a run that stopped; see `resume`.
            progress: whether to show a bar, in a terminal or a notebook.

        Returns:
            The content of ``summary.json``, typed.

        Raises:
            AgentOSError: the run cannot begin or continue; the records hold what was finished.
        """
        with _only_run(), Recorder(self.directory) as recorder, ExitStack() as stack:
            if progress:
                stack.enter_context(self._shown())
            is_new = resumption is None or resumption.branches
            # Before the corpus is read, so that a folder in use is reported at once.
            recorder.claim() if is_new else recorder.lock()
            self._follow(stack, continues=not is_new)
            try:
                self.config.resolved()  # a user's own class may hold what no file can
                timing = _timing_of(self.config)  # first of all: a trace may be wrong
                self.config.require_inputs()
                connect = stack.enter_context(self.config.runtime.ahead(self.address))
                corpus = self._corpus()
                blueprint = blueprint_of(self.config, corpus, self._listener, self.cache)
                found = self._fingerprint(corpus, blueprint, resumption)
                began = time.perf_counter()
                self._track(stack)
                session, measured = self._started(blueprint, connect)
            except BaseException:
                if is_new:
                    recorder.abandon()
                raise
            with session:
                arms = Arms(self._setting(corpus, session, recorder, timing, began))
                if resumption is None or resumption.branches:
                    read: tuple[Fingerprint, ...] = (found,)
                    if resumption is not None:
                        resumption = arms.branch(resumption)
                        read = resumption.fingerprints(found)
                    # Last of all: a folder with a configuration is a run that can be resumed.
                    recorder.start(
                        dump(self.config.resolved()),
                        arms.setting.network,
                        corpus.names,
                        self.config.evaluation.metrics,
                        measured | {HELDOUT: self._heldout(corpus)},
                        read,
                    )
                else:
                    self._continue(recorder, resumption, found)
                return arms.run(resumption or Resumption())

    def _corpus(self) -> Corpus:
        if self.corpus is None:
            return prepare_corpus(self.config, self._listener, self.cache)
        self._listener.on_corpus(self.corpus)
        return self.corpus

    def _heldout(self, corpus: Corpus) -> int:
        """Return the number of documents that agents are evaluated on."""
        return min(len(corpus.heldout), self.config.evaluation.documents)

    def _follow(self, stack: ExitStack, continues: bool) -> None:
        """Keep the log and the live state of the run until the stack is left."""
        arms = (TOGETHER, *baselines_of(self.config))
        follower = stack.enter_context(followed(self.directory, arms, continues))
        self._listener = Listeners(follower, *self._given)

    def _track(self, stack: ExitStack) -> None:
        """Send the rounds to the run's trackers until the stack is left."""
        config = self.config
        if not config.trackers:
            return
        values = config.resolved()
        started = [each.start(config.name, values) for each in config.trackers]
        listener = TrackerListener(started)
        self._listener = Listeners(self._listener, listener)
        stack.push(lambda error, *_: listener.close(finished=error is None))

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Show a bar within the context."""
        bar = ProgressBar(self.config.training.rounds, (TOGETHER, *baselines_of(self.config)))
        given, self._given = self._given, (*self._given, bar)
        self._listener = Listeners(*self._given)
        try:
            yield
        finally:
            bar.close()
            self._given, self._listener = given, Listeners(*given)

    def _fingerprint(
        self, corpus: Corpus, blueprint: Blueprint, resumption: Resumption | None
    ) -> Fingerprint:
        """Return the digests of the run's data; refuse data that has changed since it began."""
        config = self.config.resolved()
        others = [value for name, value in config.items() if name not in ("data", "agents")]
        found = of_run(corpus, blueprint.groups, [{"others": others}])
        if resumption is not None:
            resumption.require_same_data(found, config)
        return found

    def _continue(self, recorder: Recorder, resumption: Resumption, found: Fingerprint) -> None:
        """Remove the records and checkpoints after the point from which the run continues."""
        kept = {arm: resumption.last_round(arm) for arm in ARMS}
        forget(self.directory, kept)
        recorder.go_on(kept)
        recorder.fingerprints(resumption.fingerprints(found))

    def _started(
        self, blueprint: Blueprint, connect: Callable[[], str | None]
    ) -> tuple[Session, dict[str, Any]]:
        """Return hosts that are ready, and the measurements behind what the configuration left open."""
        self._listener.on_stage("Starting hosts")
        session = self.config.runtime.start(blueprint, connect())
        if self.profile is not None:
            session = ProfiledSession(session, self.profile)
        try:
            training, measured = choose_precision(session, blueprint)
            measured |= describe_stacks(session, arm_of(self.config, TOGETHER))
            measured |= _schedule(self.config)
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
            every = config.health_interval
            monitor = health_monitor(config.health, every, corpus, network, config.seed)
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
            joint=joint_plan(config, corpus),
            profile=self.profile,
        )


def _schedule(config: RunConfig) -> dict[str, str]:
    """Return how often agents are checked and written, which `auto` leaves open."""
    training = config.training
    intervals = {
        "health_checks": config.health_interval,
        "checkpoints": config.checkpoints.interval(training.local_steps),
    }
    return {
        name: f"one in {every} rounds" if 0 < every <= training.rounds else "none"
        for name, every in intervals.items()
    }


def _timing_of(config: RunConfig) -> Timing | None:
    if config.clock is None:
        return None
    costs = sizes_of(config.society().encoders) if config.clock.work == "flops" else {}
    length = config.training.max_length
    return timing_of(config.clock, config.network(), config.seed, costs, length)


def _new_directory(name: str) -> Path:
    """Create a folder under ``runs/`` whose name is of no other run, begun at whichever moment."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in itertools.count(1):
        directory = Path("runs") / (
            f"{name}-{stamp}" if suffix == 1 else f"{name}-{stamp}-{suffix}"
        )
        with writing(directory):
            try:
                directory.mkdir(parents=True)
                break
            except FileExistsError:
                continue
    return directory


_RUNNING = threading.Lock()


@contextmanager
def _only_run() -> Iterator[None]:
    """Refuse a second run in this process: both would draw from PyTorch's one random generator.

    Raises:
        RuntimeFailure: a run is under way in this process.
    """
    if not _RUNNING.acquire(blocking=False):
        raise RuntimeFailure(
            "another run is under way in this process, and each would change the other's numbers",
            expected="one run of a process at a time",
            hint="run one after the other, or each in a process of its own, as 'agentos sweep' does",
        )
    try:
        yield
    finally:
        _RUNNING.release()
