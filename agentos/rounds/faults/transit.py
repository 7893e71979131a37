"""The way of a hop's messages to their receivers, through the faults of a round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentos.rounds.faults.base import Fault, FaultContext, Transmission
from agentos.rounds.faults.policies import PolicyConfig, in_time, sendings
from agentos.rounds.hop_schedule import ScheduledHop
from agents.hosting.delivery import Outbox
from protocols.ledger import Ledger

Late = tuple[int, int]
"""The round in which a message arrives too late, and its receiver."""
Lateness = Callable[[int, int, int], float]
"""Seconds that the second agent waits for a message of so many bytes from the first."""


@dataclass
class ActiveFaults:
    """The faults of one round, and how often each kind has struck in it."""

    faults: Sequence[Fault] = ()
    seed: int = 0
    round: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[tuple[int, Fault]]:
        """Yield the faults that may strike in the round, each with its place in the list."""
        return ((i, fault) for i, fault in enumerate(self.faults) if fault.is_on(self.round))

    def context(self, index: int, hop: int = -1, attempt: int = 0) -> FaultContext:
        """Return when a fault may strike."""
        return FaultContext(self.seed, index, self.round, hop, attempt)


@dataclass(frozen=True)
class HopTraffic:
    """The messages of a hop as they were composed.

    Attributes:
        scheduled: the hop, without the edges that carry nothing.
        outboxes: of the hosts.
        places: of each receiver's messages: (outbox, index within it).
        ledger: in which each message was recorded once; each further sending is added.
        lateness: how long a receiver waits for a message, where the run has a clock; without one all arrive
            at once, and real time passes for those that a fault holds up.
    """

    scheduled: ScheduledHop
    outboxes: Sequence[Outbox]
    places: Mapping[int, Sequence[tuple[int, int]]]
    ledger: Ledger
    lateness: Lateness | None = None

    def transmissions(self) -> dict[int, list[Transmission]]:
        """Return every receiver's messages."""
        return {
            receiver: [self._transmission(place, receiver) for place in places]
            for receiver, places in self.places.items()
        }

    def _transmission(self, place: tuple[int, int], receiver: int) -> Transmission:
        outbox, index = self.outboxes[place[0]], place[1]
        envelope, size = outbox.envelopes[index], outbox.payload_bytes[index]
        wait_s = self.lateness(envelope.sender, receiver, size) if self.lateness else 0.0
        return Transmission(envelope.sender, receiver, place, envelope.kind, wait_s)


class Transit:
    """Passes the messages of a hop through the faults of a round and the policy of a run.

    Args:
        faults: of the round; what strikes is counted there.
        policy: about lost and late messages.
        traffic: of the hop.

    Attributes:
        late: messages that will arrive in a later round.
        waits: seconds that each receiver waits.
    """

    def __init__(self, faults: ActiveFaults, policy: PolicyConfig, traffic: HopTraffic) -> None:
        self.faults = faults
        self.policy = policy
        self.traffic = traffic
        self.late: list[Late] = []
        self.waits: dict[int, float] = {}

    def arrive(self, sent: Mapping[int, Sequence[Transmission]]) -> dict[int, list[Transmission]]:
        """Return each receiver's messages that arrive, in the order in which they do."""
        inboxes: dict[int, list[Transmission]] = {}
        for receiver, transmissions in sent.items():
            inbox: list[Transmission] = []
            for each in sorted(transmissions, key=lambda each: each.sender):
                came = self._send(each)
                latest_s = max((copy.arrival_s for copy in came), default=0.0)
                self.waits[receiver] = max(self.waits.get(receiver, 0.0), self._longest(latest_s))
                inbox.extend(self._accepted(came))
            inboxes[receiver] = self._arranged(inbox)
        return inboxes

    def _longest(self, wait_s: float) -> float:
        """Return how long an agent waits for something that takes so long."""
        deadline_s = self.policy.deadline_s
        return wait_s if deadline_s is None else min(wait_s, deadline_s)

    def _send(self, message: Transmission) -> list[Transmission]:
        """Send a message until it arrives or the policy gives up; return what the last attempt brings."""
        came: list[Transmission] = []

        def is_lost(attempt: int) -> bool:
            came[:] = self._attempt(message, attempt)
            return all(each.lost for each in came)

        sent, _ = sendings(is_lost, self.policy)
        self.faults.counts["retried"] += sent - 1
        outbox, index = self.traffic.outboxes[message.place[0]], message.place[1]
        sizes = outbox.payload_bytes[index], outbox.fp32_bytes[index]
        round, hop = self.traffic.scheduled.round, self.traffic.scheduled.number
        for _ in range(sent - 1 + len(came) - 1):
            self.traffic.ledger.record(
                round, hop, message.sender, message.receiver, message.kind, *sizes
            )
        return [each for each in came if not each.lost]

    def _attempt(self, message: Transmission, attempt: int) -> list[Transmission]:
        """Return what one attempt at sending a message brings."""
        came = [message]
        for index, fault in self.faults:
            context = self.faults.context(index, self.traffic.scheduled.number, attempt)
            struck = [fault.transmit(each, context) for each in came]
            self.faults.counts[fault.kind] += sum(
                after != (before,) for before, after in zip(came, struck, strict=True)
            )
            came = [each for group in struck for each in group]
        return came

    def _accepted(self, came: Iterable[Transmission]) -> list[Transmission]:
        """Return what arrives in its round and before the deadline."""
        kept = []
        for each in came:
            if each.rounds_late:
                self.late.append((self.faults.round + each.rounds_late, each.receiver))
            elif in_time(each.arrival_s, self.policy):
                kept.append(each)
            else:
                self.faults.counts["past_deadline"] += 1
        return kept

    def _arranged(self, inbox: list[Transmission]) -> list[Transmission]:
        for index, fault in self.faults:
            arranged = fault.arrange(
                inbox, self.faults.context(index, self.traffic.scheduled.number)
            )
            self.faults.counts[fault.kind] += arranged != inbox
            inbox = arranged
        return inbox
