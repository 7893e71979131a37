"""Progress of a run as one bar, in terminals and notebooks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from agentos.events.listener import Listener
from agentos.records.reports import Restart, RoundReport


class ProgressBar(Listener):
    """Shows one bar over the rounds of all arms, with the loss and the bytes sent.

    Nothing is shown where standard error is neither a terminal nor a notebook.

    Args:
        rounds: rounds of each arm.
        arms: names of the arms, in the order in which they run.
    """

    def __init__(self, rounds: int, arms: Sequence[str]) -> None:
        from tqdm.auto import tqdm  # a tenth of a second that only runs with a bar should cost

        in_notebook = "ipykernel" in sys.modules
        self._arms, self._rounds = tuple(arms), rounds
        self._bar: Any = tqdm(
            total=rounds * len(self._arms),
            desc="preparing",
            unit="round",
            disable=False if in_notebook else None,  # None: only in a terminal
        )

    def close(self) -> None:
        """End the bar; what it showed last stays."""
        self._bar.close()

    def on_stage(self, what: str) -> None:
        """Name the stage of the preparation."""
        self._bar.set_description_str(what)

    def on_round(self, report: RoundReport) -> None:
        """Advance to the end of a round."""
        losses = [m["loss"] for m in report.metrics.values() if "loss" in m]
        figures = {"MB": f"{report.total_bytes / 1e6:.1f}"}
        if losses:
            figures = {"loss": f"{sum(losses) / len(losses):.3f}", **figures}
        self._bar.set_description_str(report.arm, refresh=False)
        self._bar.set_postfix(figures, refresh=False)
        self._move_to(report.arm, report.round)

    def on_restart(self, restart: Restart) -> None:
        """Go back to the round from which the run continues."""
        self._move_to(restart.arm, restart.back_to)

    def _move_to(self, arm: str, round: int) -> None:
        self._bar.n = self._rounds * self._arms.index(arm) + round
        self._bar.refresh()
