"""Recovery from hosts that die during a run: they are replaced, and the run goes back to its last checkpoint.

Random draws depend on names alone, and a checkpoint holds everything about agents that changes. So the rounds
that are run again give the same numbers, and the records equal those of an undisturbed run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from agentos.records.checkpoints import checkpoints_of
from agentos.records.recorder import Recorder
from agentos.records.reports import Begun, Restart, RoundReport
from agentos.rounds.faults.policies import PolicyConfig, restarts_after
from agentos.runtime import Session
from protocols.errors import DeadlineExceeded, HostLost, RuntimeFailure

logger = logging.getLogger(__name__)


class Recovery:
    """Replaces lost hosts, as often as the policy allows, and sets a run back.

    Args:
        policy: how often, and after which failures.
        session: the hosts.
        recorder: of the run folder; rounds that will be run again are removed from its files.
        on_restart: called after every restart.
    """

    def __init__(
        self,
        policy: PolicyConfig,
        session: Session,
        recorder: Recorder,
        on_restart: Callable[[Restart], None],
    ) -> None:
        self.policy = policy
        self.session = session
        self.recorder = recorder
        self.on_restart = on_restart
        self.restarts = 0

    def recover(
        self, error: RuntimeFailure, arm: str, rounds: Sequence[RoundReport], begun: Begun | None
    ) -> Begun | None:
        """Replace lost hosts; return the point from which the arm continues, None for its beginning.

        Args:
            error: the failure.
            arm: that was under way.
            rounds: of it that were finished.
            begun: the point from which it continued when it was begun.

        Raises:
            RuntimeFailure: the policy has the run abort.
        """
        hosts = self._revived(error)
        back = self._last(arm, rounds, begun)
        round = back.checkpoint.manifest.round if back else -1
        finished = max((report.round for report in rounds), default=0)
        restart = Restart(self.restarts, arm, finished + 1, max(round, 0), hosts, error.message)
        logger.warning("%s; round %d goes back to round %d", error.message, finished + 1, round)
        self.recorder.go_back(arm, round)
        self.recorder.restart(restart)
        self.on_restart(restart)
        return back

    def _revived(self, error: RuntimeFailure) -> tuple[int, ...]:
        """Replace lost hosts; a loss meanwhile counts as another restart."""
        while True:
            if not restarts_after(error, self.restarts, self.policy):
                raise self._given_up(error)
            self.restarts += 1
            try:
                return self.session.revive()
            except (HostLost, DeadlineExceeded) as another:
                error = another

    def _given_up(self, error: RuntimeFailure) -> RuntimeFailure:
        if not self.restarts or not isinstance(error, (HostLost, DeadlineExceeded)):
            return error
        given_up = type(error)(
            f"{error.message}; the run has restarted {self.restarts} times already",
            expected=f"at most {self.policy.restarts} restarts (policy.restarts)",
            actual=error.actual,
            hint=f"find out why hosts are lost, then 'agentos resume {self.recorder.directory}'",
        )
        given_up.__cause__ = error
        return given_up

    def _last(self, arm: str, rounds: Sequence[RoundReport], begun: Begun | None) -> Begun | None:
        """Find the last checkpoint of an arm among those that its finished rounds lead up to."""
        reached = max((report.round for report in rounds), default=-1)
        for checkpoint in reversed(checkpoints_of(self.recorder.directory)):
            manifest = checkpoint.manifest
            if manifest.arm == arm and manifest.round <= reached:
                kept = tuple(report for report in rounds if report.round <= manifest.round)
                return Begun(checkpoint, kept)
        return begun
