"""Base of experiment trackers, and the listener that sends them what TensorBoard gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from agentos.events.listener import Listener
from agentos.records.atomic_files import plain
from agentos.records.layout import agent_name
from agentos.records.metrics_log import curves
from protocols.errors import ConfigurationError
from protocols.spec import Spec

if TYPE_CHECKING:
    from agentos.records.reports import RoundReport


@dataclass(frozen=True)
class Tracked:
    """A run as a tracker knows it.

    Attributes:
        log: sends numbers by name, and the round that they belong to.
        close: ends the tracker's run; whether it finished.
    """

    log: Callable[[Mapping[str, float], int], None]
    close: Callable[[bool], None]


class Tracker(Spec, ABC):
    """A place that shows the curves of a run: its parameters, and how a run begins there."""

    package: ClassVar[str]
    """The package that it needs; the extra of AgentOS has the name of the kind."""

    kind: str
    project: str = Field("agentos", min_length=1, description="Project that the run appears in.")

    @abstractmethod
    def start(self, name: str, config: Mapping[str, Any]) -> Tracked:
        """Begin a run.

        Args:
            name: name of the run.
            config: the resolved configuration, as plain values.
        """

    def require(self) -> None:
        """Refuse a tracker whose package is not installed.

        Raises:
            ConfigurationError: it is not.
        """
        if find_spec(self.package) is None:
            raise ConfigurationError(
                f"trackers names {self.kind}, and the package {self.package} is not installed",
                expected=f"an installed {self.package}",
                hint=f"pip install 'llm-agentos[{self.kind}]', or leave it out of trackers",
            )


class TrackerListener(Listener):
    """Sends every round to trackers, under the names that TensorBoard shows.

    Args:
        tracked: the runs, one for each tracker.
    """

    def __init__(self, tracked: Sequence[Tracked]) -> None:
        self._tracked = tuple(tracked)

    def on_round(self, report: RoundReport) -> None:
        """Send the numbers of a round, each arm under its name."""
        rows = [
            {"agent": agent_name(agent), **{name: plain(value) for name, value in values.items()}}
            for agent, values in report.metrics.items()
        ]
        values = {f"{report.arm}/{name}": value for name, value in curves(rows).items()}
        for tracked in self._tracked:
            tracked.log(values, report.round)

    def close(self, finished: bool) -> None:
        """End the trackers' runs."""
        for tracked in self._tracked:
            tracked.close(finished)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a configuration by dotted paths, each value as text.

    Example:
        >>> flat({"agents": {"count": 3}, "faults": []})
        {'agents.count': '3', 'faults': '[]'}
    """
    found: dict[str, str] = {}
    for name, value in config.items():
        path = f"{prefix}{name}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) else {path: str(value)}
    return found
