"""Wall seconds of a run by what they went into."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from agentos.events.listener import Listener
from agentos.records.reports import Restart, RoundReport


class PhaseTimes(Listener):
    """Adds up the seconds of each phase, over all rounds and arms, on the coordinator's clock.

    A phase lasts until the next one begins. What lies between the phases is ``records``; what a run does at
    the end of an arm is ``comparing and saving``.

    Args:
        clock: seconds.

    Example:
        >>> ticks = iter([0.0, 2.0, 5.0])
        >>> times = PhaseTimes(lambda: next(ticks))
        >>> times.on_phase("together", 1, "training")
        >>> times.on_phase("together", 1, "exchanging")
        >>> times.seconds
        {'starting': 2.0, 'training': 3.0}
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._phase, self._since = "starting", clock()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of every phase that is over, in the order of their first beginnings."""
        return dict(self._spent)

    def _begin(self, phase: str) -> None:
        now = self._clock()
        self._spent[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def on_stage(self, what: str) -> None:
        """Begin what follows the rounds of an arm."""
        self._begin("comparing and saving")

    def on_phase(self, arm: str, round: int, phase: str) -> None:
        """Begin a phase of a round."""
        self._begin(phase)

    def on_round(self, report: RoundReport) -> None:
        """Begin what lies between two rounds."""
        self._begin("records")

    def on_restart(self, restart: Restart) -> None:
        """Begin what lies between the loss of hosts and the next phase."""
        self._begin("records")

    def close(self) -> None:
        """End the phase that is under way."""
        self._begin("over")
