r"""Rounds in which no agent waits: each goes through its rounds on its own simulated time.

Agent i begins its round r at \(t_i\), trains until \(t_i + W_i / v_i\), and exchanges at that very
moment. It goes through the hops of the topology's plan in their order, as in a synchronous round: where
it is to send, it sends to all recipients, and a message to j arrives at \(t_i + \lambda_{ij} + b /
\beta_{ij}\); when it receives, it merges the latest message of each sender that has arrived by now
and was not merged yet, if any. Then it begins round r + 1. An agent that has finished its last round
neither sends nor merges any more; its last messages are still merged by others.

With a quorum, an agent leaves messages in its mailbox until those of so many senders have arrived, and
then for a time of grace, unless all have; it does not wait meanwhile, but goes on to its next round. Senders
that have finished their last round do not count. Under a master with `diloco` or `streaming_diloco`, weighted
by tokens, that is Decoupled DiLoCo, with a time of grace that is given instead of adapted.

A strategy may exchange fragments in turn. A message then supersedes only earlier ones about the same
fragment, an agent sends the fragment of its own round, and merges and answers those that arrive.

Messages carry their sender's round; `agents.exchange.staleness` decides how old they may be, and how much an
old one counts. Peers mix by the topology's weights times that factor, and keep for
themselves what is missing to 1. Under a master, and in layers, a child sends its parameters up and continues
with the latest answer from above, if there is one: what it trained meanwhile is in transit to its
parent. A parent averages its children's messages since its own last round, and itself, by numbers of
documents times the factor, as a buffer that is emptied once in each of its rounds (FedBuff, of no fixed
size), and answers all of its children; with an empty buffer it does not answer. What comes from above
replaces a child's own, however old it is.

Everything due at the same time happens together, hop by hop: all send, then all merge. So where
only training takes time, and all train alike, a run equals the synchronous one to the bit.

A round is over when every agent has finished its own round of that number; records are written then, in
the order of rounds, and a checkpoint if one is due: see `agentos.rounds.async_snapshot`. Each agent is
evaluated, and its health checked, at the end of that round of its own. A paused agent neither sends nor
merges.

Sources: Xie et al., Asynchronous Federated Optimization, 2019; Douillard et al., Decoupled DiLoCo for
Resilient Distributed Pre-training, 2026; Nguyen et al., Federated Learning with
Buffered Asynchronous Aggregation, 2022; Lian et al., Asynchronous Decentralized Parallel Stochastic
Gradient Descent, 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentos.records.checkpoints import Progress
from agentos.records.reports import Begun
from agentos.rounds.async_snapshot import (
    SNAPSHOT,
    outboxes_of,
    read_snapshot,
    reading,
    write_snapshot,
)
from agentos.rounds.base import Coordinator, RoundServices, RoundsPlan, by_host, save_states
from agentos.rounds.causal_order import ready
from agentos.rounds.clock.config import Asynchronous
from agentos.rounds.clock.timeline import SIMULATED
from agentos.rounds.clock.timing import Timing
from agentos.rounds.hop_schedule import ScheduledHop, turn_of
from agentos.rounds.mailbox import InFlight, Mailbox, Opened
from agentos.rounds.open_rounds import OpenRounds
from agentos.runtime import Session
from agentos.runtime.host_calls import Compose, Merge, TrainRounds
from agents.exchange.base import Turn
from agents.exchange.staleness import Staleness
from agents.hosting.delivery import Delivery, Sent


class AsynchronousCoordinator(Coordinator):
    """Takes a society through its rounds, each agent at its own pace.

    Args:
        plan: the rounds; the network is the same in all of them.
        session: hosts that are up.
        services: parts of the run to report to.
        timing: how long training and messages take.
        mode: how old messages may be.
    """

    def __init__(
        self,
        plan: RoundsPlan,
        session: Session,
        services: RoundServices,
        timing: Timing,
        mode: Asynchronous,
    ) -> None:
        super().__init__(plan, session, services)
        self.timing = timing
        self.open_rounds = OpenRounds(plan, session, services, self.result)
        staleness = Staleness(mode.staleness, mode.discount, rounds=plan.rounds)
        self.mailbox = Mailbox(staleness, mode.quorum, mode.grace_s)
        self._round = dict.fromkeys(range(plan.network.agents), 0)
        self._now = dict.fromkeys(self._round, 0.0)
        self._due: dict[int, float] = {}
        self._ended: set[int] = set()
        self._written = 0  # the last round after which a checkpoint was written, or none was due

    def _start(self) -> None:
        self.open_rounds.begin(self._now)

    def _resume(self, begun: Begun) -> None:
        self.open_rounds.paused = set(begun.checkpoint.manifest.paused)
        self._written = self.result.finished
        if SNAPSHOT in begun.checkpoint.manifest.files:
            state, messages = read_snapshot(begun.checkpoint, self.session)
            with reading(begun.checkpoint):
                self._restore(state, messages)
        else:  # of a society whose agents waited for each other
            last = begun.rounds[-1]
            ends = {agent: values.get(SIMULATED, 0.0) for agent, values in last.metrics.items()}
            self._round = dict.fromkeys(self._round, last.round)
            self._now = {agent: ends.get(agent, 0.0) for agent in self._now}
        # Hosts keep what an evaluation has for charts, and agents that have ended get no other.
        self.open_rounds.evaluate(sorted(self._ended))

    def _run_rounds(self) -> None:
        network = self.plan.network
        senders = {agent: network.senders(agent, 1) for agent in self._round}
        training = set(self._unfinished(self._round)) - self._due.keys()
        while training:
            self._write_checkpoint()
            self._due.update(self._train(sorted(training)))
            training.clear()
            while agents := ready(self._due, training, senders):
                self._now.update({agent: self._due[agent] for agent in agents})
                self._exchange(agents)
                for agent in agents:
                    del self._due[agent]
                self.open_rounds.close(self._rounds_of(agents), self._now)
                training.update(self._unfinished(agents))
                self._end({*agents} - training)
        self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        """Write a checkpoint if one was due after a round that is over: agents are about to train."""
        reached, checkpoints = self.result.finished, self.services.checkpoints
        over, self._written = range(self._written + 1, reached + 1), reached
        due = any(self.services.is_checkpoint_due(round, self.plan.rounds) for round in over)
        if checkpoints is None or not due:
            return
        self.phase(reached, "checkpointing")
        checkpoints.write(
            Progress(self.plan.name, reached, self.result.ledger, self.open_rounds.paused),
            lambda folder: save_states(self.session, folder),
            lambda folder: write_snapshot(
                folder, self.session, self._state(), self.mailbox.messages
            ),
        )

    def _state(self) -> dict[str, Any]:
        return {
            "round": self._round,
            "now": self._now,
            "due": self._due,
            "ended": sorted(self._ended),
            "mailbox": self.mailbox.state,
            "open_rounds": self.open_rounds.state,
            "paused": sorted(self.services.paused),
        }

    def _restore(self, state: Mapping[str, Any], messages: Sequence[InFlight]) -> None:
        self._round, self._now, self._due = state["round"], state["now"], state["due"]
        self._ended = set(state["ended"])
        self.mailbox.restore(messages, state["mailbox"])
        self.open_rounds.restore(state["open_rounds"])
        self.services.pause(state["paused"])

    def _end(self, agents: Iterable[int]) -> None:
        """Keep nothing for agents that have ended their last round."""
        for agent in agents:
            self._ended.add(agent)
            self.mailbox.close(agent)

    def _unfinished(self, agents: Iterable[int]) -> list[int]:
        return [each for each in agents if self._round[each] < self.plan.rounds]

    def _rounds_of(self, agents: Iterable[int]) -> dict[int, int]:
        return {agent: self._round[agent] for agent in agents}

    def _train(self, agents: Sequence[int]) -> dict[int, float]:
        """Train agents for the local steps of their next rounds; return when each is done."""
        for agent in agents:
            self._round[agent] += 1
        self.phase(self.result.finished + 1, "training")
        grouped = by_host(self.session.placement, self._rounds_of(agents))
        calls = {host: TrainRounds(rounds) for host, rounds in grouped.items()}
        metrics = self.session.ask(calls)
        due = {
            agent: self._now[agent] + self.timing.training_s(agent, values)
            for agent, values in metrics.items()
        }
        self.open_rounds.trained(self._rounds_of(agents), metrics)
        return due

    def _exchange(self, agents: Sequence[int]) -> None:
        """Take agents through the hops of their rounds; what is due at one time happens together."""
        self.phase(self.result.finished + 1, "exchanging")
        exchange, network = self.plan.arm.exchange, self.plan.network
        hops = [(part, hop) for part in range(len(exchange.parts)) for hop in network.hops(1)]
        answers: set[tuple[int, int, int]] = set()  # part, fragment, agent that merged it now
        for number, (part, hop) in enumerate(hops):
            strategy = exchange.parts[part]
            scheduled = {
                # Parts that are not due count too: a number means the same hop in every round.
                agent: ScheduledHop(round, number, part, passage=0, hop=hop)
                for agent, round in self._rounds_of(agents).items()
                if strategy.is_due(round, self.plan.rounds)
                and not self.open_rounds.is_paused(agent, round)
            }
            sending = {a: each for a, each in scheduled.items() if hop.recipients(a)}
            for fragment in range(strategy.fragment_count):
                self._send(
                    {
                        a: each
                        for a, each in sending.items()
                        if fragment == strategy.fragment_of(each.round)
                        or (part, fragment, a) in answers
                    },
                    part,
                    fragment,
                )
            receiving = {a: each for a, each in scheduled.items() if hop.senders(a)}
            for fragment in range(strategy.fragment_count):
                merged = self._receive(receiving, part, fragment)
                answers.update((part, fragment, agent) for agent in merged)

    def _turn(self, scheduled: ScheduledHop, agent: int, fragment: int) -> Turn:
        return replace(turn_of(self.plan.network, scheduled, agent), fragment=fragment)

    def _send(self, scheduled: Mapping[int, ScheduledHop], part: int, fragment: int) -> None:
        turns = {
            agent: (self._turn(each, agent, fragment), each.hop.recipients(agent))
            for agent, each in scheduled.items()
        }
        grouped = by_host(self.session.placement, turns)
        calls = {host: Compose(mine, part) for host, mine in grouped.items()}
        outboxes = self.session.call(calls) if calls else {}
        composed = [
            (sent, outbox.handle, index)
            for outbox in outboxes.values()
            for index, sent in enumerate(outbox.sent())
        ]
        # By sender: the order in which a host's agents composed must not show.
        for (envelope, recipients, size, without), handle, index in sorted(composed, key=_sender):
            sender, round, hop = envelope.sender, envelope.round, envelope.hop
            for receiver in recipients:
                arrival = self._now[sender] + self.timing.transit_s(sender, receiver, size)
                message = InFlight(sender, receiver, hop, round, arrival, handle, index, fragment)
                if receiver not in self._ended:
                    self.mailbox.post(message, opens_s=self._due.get(receiver))
                self.result.ledger.record(
                    round, hop, sender, receiver, envelope.kind, size, without
                )

    def _receive(
        self, scheduled: Mapping[int, ScheduledHop], part: int, fragment: int
    ) -> list[int]:
        """Let agents merge the messages about a fragment; return those for which there were any."""
        opened = {
            agent: self.mailbox.open(
                agent,
                each.number,
                each.round,
                self._now[agent],
                fragment,
                awaited={*each.hop.senders(agent)} - self._ended,
            )
            for agent, each in scheduled.items()
        }
        own = self.plan.arm.exchange.parts[part].fragment_of
        merging = {
            agent: found
            for agent, found in opened.items()
            if found.messages or fragment == own(scheduled[agent].round)
        }
        grouped = by_host(self.session.placement, merging)
        calls = {
            host: Merge(*self._deliveries(mine, scheduled, fragment), part)
            for host, mine in grouped.items()
        }
        rejected = self.session.ask(calls) if calls else {}
        age = self.mailbox.staleness.age
        for agent, found in opened.items():
            round = scheduled[agent].round
            ages = [age(round, each.round) for each in found.messages]
            self.open_rounds.merged(agent, round, found, ages, rejected.get(agent, []))
        return [agent for agent, found in opened.items() if found.messages]

    def _deliveries(
        self, opened: Mapping[int, Opened], scheduled: Mapping[int, ScheduledHop], fragment: int
    ) -> tuple[list[Any], dict[int, Delivery]]:
        """Return the outboxes that a host's agents read, and what each merges of them."""
        messages = [message for found in opened.values() for message in found.messages]
        handles, places = outboxes_of(messages)
        place = {id(message): at for message, at in zip(messages, places, strict=True)}
        return handles, {
            agent: Delivery(
                self._turn(scheduled[agent], agent, fragment),
                frozenset(scheduled[agent].hop.senders(agent)),
                tuple(place[id(each)] for each in found.messages),
                self.mailbox.staleness,
            )
            for agent, found in opened.items()
        }


def _sender(composed: tuple[Sent, Any, int]) -> int:
    return composed[0][0].sender
