"""The faults of a run as it goes: what strikes when, what the policy makes of it, and how often it was."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentos.rounds.faults.base import Fault, FaultContext, Letter, Lie
from agentos.rounds.faults.policies import PolicyConfig, fewest, in_time, sendings
from protocols.errors import RuntimeFailure
from protocols.messages import PAYLOADS

if TYPE_CHECKING:
    from agentos.rounds.hop_schedule import ScheduledHop
    from agentos.runtime import Session
    from agents.hosting.delivery import Outbox
    from protocols.ledger import Ledger

Late = tuple[int, int]
"""The round in which a message arrives too late, and its receiver."""
Lateness = Callable[[int, int, int], float]
"""How long the second agent waits for a message of so many bytes from the first, in seconds."""


@dataclass(frozen=True)
class Mail:
    """What comes of a hop for each receiver.

    Attributes:
        inboxes: what arrives.
        fewest: messages that it needs to merge any.
        waits: seconds for which it waits.
    """

    inboxes: dict[int, list[Letter]]
    fewest: dict[int, int]
    waits: dict[int, float]


class FaultInjector:
    """Applies faults and policies to the rounds of a run; without any, it changes nothing.

    Args:
        faults: in the order in which they strike.
        policy: about messages.
        seed: of the run.
        agents: of the run.
        wait: lets so many seconds pass, where everybody waits for an agent that stalls.
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
        self._round = 0
        self._counts: Counter[str] = Counter()
        self._killed: set[tuple[int, int]] = set()

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind of fault has struck in this round, and how often the policy had to act."""
        return {name: count for name, count in sorted(self._counts.items()) if count}

    def restart(self, late: Iterable[Late] = ()) -> None:
        """Begin an arm, or go on with it from a checkpoint: with what was under way then."""
        self.late = tuple(sorted(late))
        self.begin(0)

    def begin(self, round: int) -> None:
        """Begin a round. A host that was killed in it before the run went back is not killed again."""
        self._round = round
        self._counts = Counter(
            self.faults[index].kind for index, when in self._killed if when == round
        )

    def strike(self, phase: str, session: Session) -> None:
        """Kill the hosts that are to die before a phase of the round; each once."""
        for index, fault in self._on():
            agent = fault.victim(phase)
            if agent is not None and (index, self._round) not in self._killed:
                self._killed.add((index, self._round))
                session.kill(session.placement[agent])

    def absent(self) -> frozenset[int]:
        """Return who is away in this round."""
        away: set[int] = set()
        for index, fault in self._on():
            gone = fault.absent(self._moment(index), self.agents)
            self._counts[fault.kind] += len(gone)
            away |= gone
        return frozenset(away)

    def overdue(self) -> list[int]:
        """Return the receivers of messages that arrive in this round, too late; once for each message."""
        receivers = [receiver for due, receiver in self.late if due == self._round]
        self.late = tuple(each for each in self.late if each[0] > self._round)
        self._counts["late"] += len(receivers)
        return receivers

    def open(self, leg: ScheduledHop) -> ScheduledHop:
        """Return a hop without the edges that carry nothing."""
        for index, fault in self._on():
            cut = fault.cut(self._moment(index), leg.hop.edges, self.agents)
            if cut:
                self._counts[fault.kind] += len(cut)
                kept = tuple(edge for edge in leg.hop.edges if edge not in cut)
                leg = replace(leg, hop=replace(leg.hop, edges=kept))
        return leg

    def lies(self, leg: ScheduledHop, senders: Iterable[int]) -> dict[int, tuple[Lie, ...]]:
        """Return what senders of a hop make of their payloads, where they are not honest."""
        found: dict[int, tuple[Lie, ...]] = {}
        for index, fault in self._on():
            for agent in senders:
                lie = fault.lie(agent, self._moment(index, leg.number))
                if lie is not None:
                    found[agent] = (*found.get(agent, ()), lie)
        return found

    def carry(
        self,
        expected: ScheduledHop,
        leg: ScheduledHop,
        outboxes: Sequence[Outbox],
        incoming: Mapping[int, Sequence[tuple[int, int]]],
        ledger: Ledger,
        lateness: Lateness | None = None,
    ) -> Mail:
        """Take the messages of a hop to their receivers, as the faults and the policy have it.

        Args:
            expected: the hop, with the edges that carry nothing.
            leg: the hop, without them.
            outboxes: what was composed.
            incoming: the places of each receiver's messages.
            ledger: in which each message was noted once; whatever is sent again is added.
            lateness: how long a receiver waits for a message, where the run has a clock; without one all
                arrive at once, and real time passes for those that a fault holds up.
        """
        inboxes = {
            receiver: [_letter(outboxes, place, receiver, lateness) for place in places]
            for receiver, places in incoming.items()
        }
        waits: dict[int, float] = {}
        if self.faults or lateness:
            self._count_lies(leg, outboxes)
            waits = self._strike_on_the_way(inboxes, leg, outboxes, ledger)
            if lateness is None and self.policy.deadline_s is None and any(waits.values()):
                self._wait(max(waits.values()))
        needs: dict[int, int] = {}
        if self.policy.quorum:
            receivers = {receiver for _, receiver in expected.hop.edges}
            needs = {a: fewest(len(expected.hop.senders(a)), self.policy) for a in receivers}
        return Mail(inboxes, needs, waits)

    def settle(self, mail: Mail, rejected: Mapping[int, Sequence[str]]) -> None:
        """Count who was below the quorum.

        Raises:
            RuntimeFailure: somebody was, and the policy has the run abort.
        """
        below = []
        for agent, needed in sorted(mail.fewest.items()):
            refused = [reason for reason in rejected.get(agent, ()) if reason != "quorum"]
            if len(mail.inboxes.get(agent, ())) - len(refused) < needed:
                below.append(agent)
        self._counts["below_quorum"] += len(below)
        if below and self.policy.below_quorum == "abort":
            raise RuntimeFailure(
                f"round {self._round}: agents {below} accepted fewer messages than the quorum",
                expected=f"at least {self.policy.quorum:g} of those they expected (policy.quorum)",
                actual=self.counts,
                hint="lower policy.quorum, raise policy.retries or policy.deadline_s, or set "
                "policy.below_quorum to carry_on, in a new run or with 'agentos fork'",
            )

    def _on(self) -> list[tuple[int, Fault]]:
        return [(i, fault) for i, fault in enumerate(self.faults) if fault.is_on(self._round)]

    def _moment(self, index: int, hop: int = -1, attempt: int = 0) -> FaultContext:
        return FaultContext(self.seed, index, self._round, hop, attempt)

    def _strike_on_the_way(
        self,
        inboxes: dict[int, list[Letter]],
        leg: ScheduledHop,
        outboxes: Sequence[Outbox],
        ledger: Ledger,
    ) -> dict[int, float]:
        """Put what arrives in the place of what was sent; return how long each receiver waits."""
        waits: dict[int, float] = {}
        for receiver, letters in inboxes.items():
            arrived: list[Letter] = []
            for letter in sorted(letters, key=lambda each: each.sender):
                came = self._send(letter, leg, outboxes, ledger)
                latest_s = max((each.arrival_s for each in came), default=0.0)
                waits[receiver] = max(waits.get(receiver, 0.0), self._longest(latest_s))
                arrived.extend(self._admitted(came))
            inboxes[receiver] = self._arranged(arrived, leg)
        return waits

    def _longest(self, wait_s: float) -> float:
        """Return for how long an agent waits for something that takes so long."""
        deadline_s = self.policy.deadline_s
        return wait_s if deadline_s is None else min(wait_s, deadline_s)

    def _send(
        self, letter: Letter, leg: ScheduledHop, outboxes: Sequence[Outbox], ledger: Ledger
    ) -> list[Letter]:
        """Send a message until it arrives or the policy gives up; return what comes of the last attempt."""
        came: list[Letter] = []

        def is_lost(attempt: int) -> bool:
            came[:] = self._through(letter, leg, attempt)
            return all(each.lost for each in came)

        sent, _ = sendings(is_lost, self.policy)
        self._counts["retried"] += sent - 1
        outbox, index = outboxes[letter.place[0]], letter.place[1]
        sizes = outbox.payload_bytes[index], outbox.fp32_bytes[index]
        for _ in range(sent - 1 + len(came) - 1):
            ledger.record(
                leg.round, leg.number, letter.sender, letter.receiver, letter.kind, *sizes
            )
        return [each for each in came if not each.lost]

    def _through(self, letter: Letter, leg: ScheduledHop, attempt: int) -> list[Letter]:
        """Return what one attempt at sending a message comes to."""
        letters = [letter]
        for index, fault in self._on():
            moment = self._moment(index, leg.number, attempt)
            came = [fault.carry(each, moment) for each in letters]
            self._counts[fault.kind] += sum(
                after != (before,) for before, after in zip(letters, came, strict=True)
            )
            letters = [each for group in came for each in group]
        return letters

    def _admitted(self, came: Iterable[Letter]) -> list[Letter]:
        """Keep what arrives in its round and before the deadline."""
        kept = []
        for letter in came:
            if letter.rounds_late:
                self.late = (*self.late, (self._round + letter.rounds_late, letter.receiver))
            elif in_time(letter.arrival_s, self.policy):
                kept.append(letter)
            else:
                self._counts["past_deadline"] += 1
        return kept

    def _arranged(self, inbox: list[Letter], leg: ScheduledHop) -> list[Letter]:
        for index, fault in self._on():
            arranged = fault.arrange(inbox, self._moment(index, leg.number))
            self._counts[fault.kind] += arranged != inbox
            inbox = arranged
        return inbox

    def _count_lies(self, leg: ScheduledHop, outboxes: Sequence[Outbox]) -> None:
        for index, fault in self._on():
            for outbox in outboxes:
                for envelope in outbox.envelopes:
                    concerned = fault.concerns(PAYLOADS[envelope.kind])
                    moment = self._moment(index, leg.number)
                    if concerned and fault.lie(envelope.sender, moment) is not None:
                        self._counts[fault.kind] += 1


def _letter(
    outboxes: Sequence[Outbox], place: tuple[int, int], receiver: int, lateness: Lateness | None
) -> Letter:
    outbox, index = outboxes[place[0]], place[1]
    envelope = outbox.envelopes[index]
    wait_s = lateness(envelope.sender, receiver, outbox.payload_bytes[index]) if lateness else 0.0
    return Letter(envelope.sender, receiver, place, envelope.kind, wait_s)
