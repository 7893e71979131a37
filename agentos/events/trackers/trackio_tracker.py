"""trackio, which keeps its runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from agentos.events.trackers.base import Tracked, Tracker


class Trackio(Tracker):
    """trackio: runs are kept on this machine, and `trackio show` draws them."""

    package: ClassVar[str] = "trackio"

    kind: Literal["trackio"] = "trackio"

    def start(self, name: str, config: Mapping[str, Any]) -> Tracked:
        """Begin a run."""
        import trackio

        run = trackio.init(project=self.project, name=name, config=dict(config), embed=False)
        return Tracked(
            log=lambda values, round: run.log(dict(values), step=round),
            close=lambda finished: run.finish(),
        )
