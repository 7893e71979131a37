r"""A society in which nobody waits: every agent goes through its rounds on its own simulated time.

Agent i begins its round r at \(t_i\), trains until \(t_i + W_i / v_i\), and exchanges at that very
moment. It goes through the hops of the topology's plan in their order, as in a synchronous round: where
it is to send, it sends to all recipients, and a message to j arrives at \(t_i + \lambda_{ij} + b /
\beta_{ij}\); where it is to receive, it merges the latest message of each sender that has arrived by now
and was not merged yet, be it none. Then it begins round r + 1. An agent that has finished its last round
neither sends nor merges any more; what it sent last is still merged.

Messages carry their sender's round. How old they may be, and what an old one counts for, says
`agents.exchange.staleness`. Peers mix by the topology's weights times that factor, and keep for
themselves what is missing to 1. Under a master, and in layers, a child sends its parameters up and goes
on with the latest answer from above, if there is one: what it trained meanwhile is on its way to its
parent. A parent averages what its children sent since its own last round, and itself, by numbers of
documents times the factor, as a buffer that is emptied once in each of its rounds (FedBuff, of no fixed
size), and answers all of its children; it answers nothing if it heard nobody. What comes from above
replaces a child's own, however old it is.

What is due at one and the same time happens together, hop by hop: all send, then all merge. So where
nothing takes time but training, and all train alike, a run equals the synchronous one to the bit.

A round is over when every agent has finished its own round of that number; records are written then, in
the order of rounds, and a checkpoint where one is due: see `agentos.rounds.async_snapshot`. Each agent is
evaluated,
and its health looked after, at the end of that round of its own. A paused agent neither sends nor merges.

Sources: Xie et al., Asynchronous Federated Optimization, 2019; Nguyen et al., Federated Learning with
Buffered Asynchronous Aggregation, 2022; Lian et al., Asynchronous Decentralized Parallel Stochastic
Gradient Descent, 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentos.records.reports import ArmResult, Begun, RoundReport, by_agent
from agentos.rounds.async_snapshot import (
    MOMENT,
    outboxes_of,
    read_snapshot,
    reading,
    write_snapshot,
)
from agentos.rounds.causal_order import ready
from agentos.rounds.clock.timeline import SIMULATED
from agentos.rounds.hop_schedule import ScheduledHop, turn_of
from agentos.rounds.mailbox import Letter, Mailbox, Opened
from agentos.rounds.open_rounds import OpenRounds, by_host
from agentos.runtime.host_calls import Begin, Compose, Merge, TrainRounds
from agents.exchange.staleness import Staleness
from protocols.topologies import Network

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.records.checkpoints import Checkpoints
    from agentos.rounds.clock.config import Asynchronous
    from agentos.rounds.clock.timing import Timing
    from agentos.rounds.health.monitor import HealthMonitor
    from agentos.runtime import Session
    from agents.exchange import Turn
    from agents.hosting.delivery import Delivery, Heading
    from agents.training.blueprint import Arm


class AsynchronousCoordinator:
    """Takes a society through its rounds, each agent at its own pace; else as `SynchronousCoordinator`.

    Args:
        config: of the run.
        network: who may talk to whom; the same in every round.
        session: hosts that are up.
        arm: the exchange, and the arm's name in the records.
        on_round: called after every round that all have finished.
        timing: how long things take.
        mode: how old messages may be.
        watch: looks for agents that collapse; None for no watch.
        checkpoints: where to write them; None to write none.
    """

    def __init__(
        self,
        config: RunConfig,
        network: Network,
        session: Session,
        arm: Arm,
        name: str,
        on_round: Callable[[RoundReport], None],
        timing: Timing,
        mode: Asynchronous,
        watch: HealthMonitor | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.config = config
        self.network = network
        self.session = session
        self.arm = arm
        self.name = name
        self.timing = timing
        self.watch = watch
        self.checkpoints = checkpoints
        self.result = ArmResult()
        self.open_rounds = OpenRounds(config, session, name, on_round, self.result, watch)
        self.mailbox = Mailbox(
            Staleness(mode.staleness, mode.discount, rounds=config.training.rounds)
        )
        self._round = dict.fromkeys(range(network.agents), 0)
        self._now = dict.fromkeys(self._round, 0.0)
        self._due: dict[int, float] = {}
        self._ended: set[int] = set()
        self._written = 0  # the last round after which a checkpoint was written, or none was due

    def run(self, begun: Begun | None = None) -> ArmResult:
        """Run every round of every agent; on an interruption, `result` holds the rounds that all finished.

        Args:
            begun: rounds that were run before, and the checkpoint after the last of them: by such a society,
                or by agents that waited for each other.
        """
        self.session.call_all(Begin(self.arm))
        if self.watch is not None:
            self.watch.paused = frozenset()
        if begun is None:
            self.open_rounds.begin(self._now)
        else:
            self._go_on(begun)
        senders = {agent: self.network.senders(agent, 1) for agent in self._round}
        training = set(self._unfinished(self._round)) - self._due.keys()
        while training:
            self._keep()
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
        self._keep()
        return self.result

    def _keep(self) -> None:
        """Write a checkpoint if one was due after a round that is over: agents are about to train."""
        reached, rounds = self.result.finished, self.config.training.rounds
        over, self._written = range(self._written + 1, reached + 1), reached
        if self.checkpoints is None or not any(
            self.checkpoints.config.is_due(round, rounds) for round in over
        ):
            return
        self.checkpoints.write(
            self.session,
            self.name,
            reached,
            self.result.ledger,
            self.open_rounds.paused,
            more=lambda folder: write_snapshot(
                folder, self.session, self._memory(), self.mailbox.letters
            ),
        )

    def _memory(self) -> dict[str, Any]:
        return {
            "round": self._round,
            "now": self._now,
            "due": self._due,
            "ended": sorted(self._ended),
            "mailbox": self.mailbox.memory,
            "open_rounds": self.open_rounds.memory,
            "paused": sorted(self.watch.paused if self.watch else ()),
        }

    def _recall(self, memory: Mapping[str, Any], letters: Sequence[Letter]) -> None:
        self._round, self._now, self._due = memory["round"], memory["now"], memory["due"]
        self._ended = set(memory["ended"])
        self.mailbox.recall(letters, memory["mailbox"])
        self.open_rounds.recall(memory["open_rounds"])
        if self.watch is not None:
            self.watch.paused = frozenset(memory["paused"])

    def _end(self, agents: Iterable[int]) -> None:
        """Keep nothing for agents that have ended their last round."""
        for agent in agents:
            self._ended.add(agent)
            self.mailbox.close(agent)

    def _go_on(self, begun: Begun) -> None:
        from agentos.records.checkpoints import restore

        restore(self.session, begun.checkpoint)
        self.open_rounds.go_on(begun)
        self._written = self.result.finished
        if self.watch is not None:
            self.watch.paused = frozenset(begun.checkpoint.manifest.paused)
        if MOMENT in begun.checkpoint.manifest.files:
            memory, letters = read_snapshot(begun.checkpoint, self.session)
            with reading(begun.checkpoint):
                self._recall(memory, letters)
        else:
            last = begun.rounds[-1]
            ends = {agent: values.get(SIMULATED, 0.0) for agent, values in last.metrics.items()}
            self._round = dict.fromkeys(self._round, last.round)
            self._now = {agent: ends.get(agent, 0.0) for agent in self._now}
        # For the pictures of what it says: nobody asks again those who have ended.
        self.open_rounds.evaluate(sorted(self._ended))

    def _unfinished(self, agents: Iterable[int]) -> list[int]:
        return [each for each in agents if self._round[each] < self.config.training.rounds]

    def _rounds_of(self, agents: Iterable[int]) -> dict[int, int]:
        return {agent: self._round[agent] for agent in agents}

    def _train(self, agents: Sequence[int]) -> dict[int, float]:
        """Let agents take the local steps of their next rounds; return when each is done."""
        for agent in agents:
            self._round[agent] += 1
        rounds = self._by_host(self._rounds_of(agents))
        metrics = by_agent(self.session.call({h: TrainRounds(mine) for h, mine in rounds.items()}))
        due = {
            agent: self._now[agent] + self.timing.training_s(agent, values)
            for agent, values in metrics.items()
        }
        self.open_rounds.trained(self._rounds_of(agents), metrics)
        return due

    def _exchange(self, agents: Sequence[int]) -> None:
        """Let agents go through the hops of their rounds; what is due at one time happens together."""
        rounds, exchange = self.config.training.rounds, self.arm.exchange
        plan = [(part, hop) for part in range(len(exchange.parts)) for hop in self.network.hops(1)]
        for number, (part, hop) in enumerate(plan):
            legs = {
                # Parts that are not due count too: a number means the same hop in every round.
                agent: ScheduledHop(round, number, part, passage=0, hop=hop)
                for agent, round in self._rounds_of(agents).items()
                if exchange.parts[part].is_due(round, rounds)
                and agent not in self.open_rounds.paused
            }
            self._send({agent: leg for agent, leg in legs.items() if hop.recipients(agent)}, part)
            self._receive({agent: leg for agent, leg in legs.items() if hop.senders(agent)}, part)

    def _send(self, legs: Mapping[int, ScheduledHop], part: int) -> None:
        turns = {
            agent: (turn_of(self.network, leg, agent), leg.hop.recipients(agent))
            for agent, leg in legs.items()
        }
        calls = {host: Compose(mine, part) for host, mine in self._by_host(turns).items()}
        outboxes = self.session.call(calls) if calls else {}
        said = [
            (envelope, size, without, outbox.handle, index)
            for outbox in outboxes.values()
            for index, (envelope, size, without) in enumerate(
                zip(outbox.envelopes, outbox.payload_bytes, outbox.fp32_bytes, strict=True)
            )
        ]
        # By sender: in which order a host's agents spoke must not show.
        for envelope, size, without, handle, index in sorted(said, key=_sender):
            sender, round, hop = envelope.sender, envelope.round, envelope.hop
            for receiver in envelope.recipients:
                arrival = self._now[sender] + self.timing.transit_s(sender, receiver, size)
                letter = Letter(sender, receiver, hop, round, arrival, handle, index)
                if receiver not in self._ended:
                    self.mailbox.post(letter, opens_s=self._due.get(receiver))
                self.result.ledger.record(
                    round, hop, sender, receiver, envelope.kind, size, without
                )

    def _receive(self, legs: Mapping[int, ScheduledHop], part: int) -> None:
        opened = {
            agent: self.mailbox.open(agent, leg.number, leg.round, self._now[agent])
            for agent, leg in legs.items()
        }
        turns = {agent: turn_of(self.network, leg, agent) for agent, leg in legs.items()}
        calls = {
            host: Merge(*self._deliveries(mine, turns, legs), part)
            for host, mine in self._by_host(opened).items()
        }
        rejected = by_agent(self.session.call(calls)) if calls else {}
        for agent, found in opened.items():
            ages = [
                self.mailbox.staleness.age(legs[agent].round, each.round) for each in found.letters
            ]
            self.open_rounds.merged(agent, legs[agent].round, found, ages, rejected[agent])

    def _deliveries(
        self,
        opened: Mapping[int, Opened],
        turns: Mapping[int, Turn],
        legs: Mapping[int, ScheduledHop],
    ) -> tuple[list[Any], dict[int, Delivery]]:
        """Return the outboxes that a host's agents read, and what each merges of them."""
        from agents.hosting.delivery import Delivery

        letters = [letter for found in opened.values() for letter in found.letters]
        handles, places = outboxes_of(letters)
        place = {id(letter): at for letter, at in zip(letters, places, strict=True)}
        return handles, {
            agent: Delivery(
                turns[agent],
                frozenset(legs[agent].hop.senders(agent)),
                tuple(place[id(each)] for each in found.letters),
                self.mailbox.staleness,
            )
            for agent, found in opened.items()
        }

    def _by_host(self, values: Mapping[int, Any]) -> dict[int, dict[int, Any]]:
        return by_host(self.session.placement, values)


def _sender(said: tuple[Heading, int, int, Any, int]) -> int:
    return said[0].sender
