"""Faults and policies of a run, applied round by round."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agentos.rounds.faults.base import Alteration, Fault, Transmission
from agentos.rounds.faults.policies import PolicyConfig, fewest
from agentos.rounds.faults.transit import ActiveFaults, HopTraffic, Late, Transit
from agentos.rounds.hop_schedule import ScheduledHop
from agentos.runtime import Session
from agentos.runtime.host_calls import HostCall
from protocols.errors import RuntimeFailure
from protocols.messages import PAYLOADS


@dataclass(frozen=True)
class Arrivals:
    """The messages of a hop as they arrive.

    Attributes:
        inboxes: each receiver's messages.
        fewest: number of messages that a receiver needs to merge any.
        waits: seconds that a receiver waits.
    """

    inboxes: dict[int, list[Transmission]]
    fewest: dict[int, int]
    waits: dict[int, float]


class FaultInjector:
    """Applies faults and policies to the rounds of a run; without any, it changes nothing.

    Args:
        faults: in the order in which they strike.
        policy: about messages.
        seed: of the run.
        agents: number of agents in the run.
        wait: lets so many seconds pass, while all wait for an agent that stalls.
    """

    def __init__(
        self,
        faults: Sequence[Fault] = (),
        policy: PolicyConfig | None = None,
        seed: int = 0,
        agents: int = 0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.faults = tuple(faults)
        self.policy = policy or PolicyConfig()
        self.seed = seed
        self.agents = agents
        self.late: tuple[Late, ...] = ()
        self._wait = wait
        self._active = ActiveFaults()
        self._killed: set[tuple[int, int]] = set()

    @property
    def counts(self) -> dict[str, int]:
        """Strikes of each kind of fault in this round, and actions of the policy."""
        return {name: count for name, count in sorted(self._active.counts.items()) if count}

    def restart(self, late: Iterable[Late] = ()) -> None:
        """Begin an arm, or continue it from a checkpoint with the messages then in flight."""
        self.late = tuple(sorted(late))
        self.begin(0)

    def begin(self, round: int) -> None:
        """Begin a round. A host that was killed in it before the run went back is not killed again."""
        killed = Counter(self.faults[index].kind for index, when in self._killed if when == round)
        self._active = ActiveFaults(self.faults, self.seed, round, killed)

    def kill_before(self, call: type[HostCall[object]], session: Session) -> None:
        """Kill the hosts that are to die before the calls of a phase in this round; each once."""
        for index, fault in self._active:
            agent, death = fault.victim(call.phase), (index, self._active.round)
            if agent is not None and death not in self._killed:
                self._killed.add(death)
                session.kill(session.placement[agent])

    def absent(self) -> frozenset[int]:
        """Return the agents that are away in this round."""
        away: set[int] = set()
        for index, fault in self._active:
            gone = fault.absent(self._active.context(index), self.agents)
            self._active.counts[fault.kind] += len(gone)
            away |= gone
        return frozenset(away)

    def overdue(self) -> list[int]:
        """Return the receivers of messages that arrive in this round, too late; once for each message."""
        round = self._active.round
        receivers = [receiver for due, receiver in self.late if due == round]
        self.late = tuple(each for each in self.late if each[0] > round)
        self._active.counts["late"] += len(receivers)
        return receivers

    def cut(self, scheduled: ScheduledHop) -> ScheduledHop:
        """Return a hop without the edges that carry nothing."""
        for index, fault in self._active:
            dead = fault.cut(self._active.context(index), scheduled.hop.edges, self.agents)
            if dead:
                self._active.counts[fault.kind] += len(dead)
                kept = tuple(edge for edge in scheduled.hop.edges if edge not in dead)
                scheduled = replace(scheduled, hop=replace(scheduled.hop, edges=kept))
        return scheduled

    def alterations(
        self, scheduled: ScheduledHop, senders: Iterable[int]
    ) -> dict[int, tuple[Alteration, ...]]:
        """Return the alterations that faulty senders of a hop make to their payloads."""
        found: dict[int, tuple[Alteration, ...]] = {}
        for index, fault in self._active:
            for agent in senders:
                context = self._active.context(index, scheduled.number)
                alteration = fault.alteration(agent, context)
                if alteration is not None:
                    found[agent] = (*found.get(agent, ()), alteration)
        return found

    def deliver(self, expected: ScheduledHop, traffic: HopTraffic) -> Arrivals:
        """Pass the messages of a hop on to their receivers, as faults and policy decide.

        Args:
            expected: the hop, with the edges that carry nothing.
            traffic: its messages.
        """
        inboxes, waits = traffic.transmissions(), {}
        if self.faults or traffic.lateness:
            self._count_altered(traffic)
            transit = Transit(self._active, self.policy, traffic)
            inboxes, waits = transit.arrive(inboxes), transit.waits
            self.late = (*self.late, *transit.late)
            if traffic.lateness is None and self.policy.deadline_s is None and any(waits.values()):
                self._wait(max(waits.values()))
        needs: dict[int, int] = {}
        if self.policy.quorum:
            receivers = {receiver for _, receiver in expected.hop.edges}
            needs = {a: fewest(len(expected.hop.senders(a)), self.policy) for a in receivers}
        return Arrivals(inboxes, needs, waits)

    def check_quorum(self, arrivals: Arrivals, rejected: Mapping[int, Sequence[str]]) -> None:
        """Count the agents below the quorum.

        Raises:
            RuntimeFailure: there is one, and the policy has the run abort.
        """
        below = []
        for agent, needed in sorted(arrivals.fewest.items()):
            refused = [reason for reason in rejected.get(agent, ()) if reason != "quorum"]
            if len(arrivals.inboxes.get(agent, ())) - len(refused) < needed:
                below.append(agent)
        self._active.counts["below_quorum"] += len(below)
        if below and self.policy.below_quorum == "abort":
            raise RuntimeFailure(
                f"round {self._active.round}: agents {below} accepted fewer messages than the quorum",
                expected=f"at least {self.policy.quorum:g} of those they expected (policy.quorum)",
                actual=self.counts,
                hint="lower policy.quorum, raise policy.retries or policy.deadline_s, or set "
                "policy.below_quorum to carry_on, in a new run or with 'agentos fork'",
            )

    def _count_altered(self, traffic: HopTraffic) -> None:
        for index, fault in self._active:
            context = self._active.context(index, traffic.scheduled.number)
            for outbox in traffic.outboxes:
                for envelope in outbox.envelopes:
                    altered = fault.alters(PAYLOADS[envelope.kind])
                    if altered and fault.alteration(envelope.sender, context) is not None:
                        self._active.counts[fault.kind] += 1
