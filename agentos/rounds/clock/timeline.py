r"""Simulated time where agents wait for each other.

With \(t_i\) the time at which agent i stands, a round takes it on as follows.

- Training: \(t_i \leftarrow t_i + W_i / v_i\).
- A hop, in which i sends to j: the message leaves when i is ready and arrives at \(a_{ij} = t_i +
  \lambda_{ij} + b_{ij} / \beta_{ij}\). The receiver goes on when all that it is sent has come: \(t_j
  \leftarrow \max(t_j, \max_i a_{ij})\). All messages of a hop leave before any of it is merged, so a
  sender does not wait for what it receives in the same hop.

There is no barrier: an agent whose messages have arrived begins its next round, even while others train.
Under a master, a round lasts as long as its slowest agent all the same: the master waits for all, and all
for it. An agent that sends nothing delays no other, nor does a lost message.

Where an exchange overlaps its messages with the first local steps that follow (`Exchange.overlap_steps`),
they travel while agents train. The messages of agent i then run behind its training by \(h_i\) seconds, which
grow where \(t_i\) would, and pass with those steps; after them, the agent waits for what is left.

With `policy.deadline_s` a receiver waits no longer than that, and later messages miss the hop. W, v,
\(\lambda\), b and \(\beta\) are those of `agentos.rounds.clock.timing`.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentos.records.reports import AgentMetrics
from agentos.rounds.clock.timing import Timing

SIMULATED, WAITED = "simulated_s", "simulated_wait_s"
BEHIND, STEPS_LEFT = "simulated_behind_s", "simulated_overlap_steps"


class Timeline:
    """Progress of each agent in simulated seconds since the beginning.

    Args:
        timing: how long training and messages take.

    Example:
        >>> two = Timeline(Timing({0: 1.0, 1: 2.0}, latency_s={(0, 1): 0.5, (1, 0): 0.5}))
        >>> two.train({0: {"steps": 4}, 1: {"steps": 4}})
        >>> two.wait({1: two.lateness(0, 1, 100), 0: two.lateness(1, 0, 100)})
        >>> two.now
        {0: 4.0, 1: 4.5}
    """

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.now = dict.fromkeys(sorted(timing.speeds), 0.0)
        self._waited = dict.fromkeys(self.now, 0.0)
        self._behind: dict[int, float] = {}  # agents whose messages are under way while they train
        self._steps_left: dict[int, float] = {}

    def resume(self, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """Continue from the end of a recorded round."""
        self.now = {agent: metrics.get(agent, {}).get(SIMULATED, 0.0) for agent in self.now}
        overlapped = {a: values for a, values in metrics.items() if BEHIND in values}
        self._behind = {agent: values[BEHIND] for agent, values in overlapped.items()}
        self._steps_left = {agent: values[STEPS_LEFT] for agent, values in overlapped.items()}

    def train(self, metrics: AgentMetrics) -> None:
        """Add the duration of every agent's local steps, and of waiting for what these did not hide."""
        for agent, values in metrics.items():
            training_s = self.timing.training_s(agent, values)
            self.now[agent] += training_s
            if agent in self._behind and values.get("steps"):
                self._hide(agent, training_s, values["steps"])

    def _hide(self, agent: int, training_s: float, steps: float) -> None:
        """Let messages travel during the steps that they overlap with, and wait for them thereafter."""
        overlapped = min(self._steps_left[agent], steps)
        self._behind[agent] = max(0.0, self._behind[agent] - training_s * overlapped / steps)
        self._steps_left[agent] -= overlapped
        if self._steps_left[agent] <= 0:
            del self._steps_left[agent]
            self._wait(agent, self._behind.pop(agent))

    def lateness(self, sender: int, receiver: int, size: int) -> float:
        """Return the seconds that a receiver would wait for a message of so many bytes sent now."""
        arrival = self._reached(sender) + self.timing.transit_s(sender, receiver, size)
        return max(0.0, arrival - self._reached(receiver))

    def wait(self, seconds: Mapping[int, float], overlap_steps: int = 0) -> None:
        """Add the waiting times of one hop's receivers, or let so many steps of training hide them."""
        for receiver, waited in seconds.items():
            if overlap_steps:
                self._behind[receiver] = self._behind.get(receiver, 0.0) + waited
                self._steps_left[receiver] = overlap_steps
            else:
                self._wait(receiver, waited)

    def _wait(self, agent: int, seconds: float) -> None:
        self._waited[agent] += seconds
        self.now[agent] += seconds

    def _reached(self, agent: int) -> float:
        """Return the time at which an agent's messages stand."""
        return self.now[agent] + self._behind.get(agent, 0.0)

    def add_to(self, metrics: AgentMetrics) -> None:
        """Add to the metrics of a round when each agent ended it, and how long it waited in it."""
        for agent, now in self.now.items():
            times = {SIMULATED: now, WAITED: self._waited[agent]}
            if agent in self._behind:
                times |= {BEHIND: self._behind[agent], STEPS_LEFT: self._steps_left[agent]}
            metrics[agent] = {**metrics.get(agent, {}), **times}
        self._waited = dict.fromkeys(self.now, 0.0)
