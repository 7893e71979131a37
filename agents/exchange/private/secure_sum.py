"""Secure aggregation: a master learns the sum of its slaves' numbers, and none of the parts.

Legend: P numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.exchange.base import (
    Announced,
    Exchange,
    ExchangeState,
    Expected,
    Learner,
    Society,
    Turn,
)
from agents.exchange.privacy.masks import (
    fixed_point,
    from_fixed_point,
    leftover,
    masked,
    pair_seed,
)
from protocols.messages import Keys, MaskedSum, Message, Payload
from protocols.messages.masked import KEY_BYTES
from protocols.topologies.hops import Direction

_FEWEST = 2
"""Fewest slaves in a sum: of one alone, the sum shows the part."""


@dataclass
class MaskedRound(ExchangeState):
    """Progress of a round of secure aggregation.

    Attributes:
        begun: round that the rest is about.
        participants: agents whose keys arrived.
        present: those of them whose masked vectors arrived.
        total: `[P]`, sum of these modulo 2^64, at the master, as int64.
        summed: sum of their weights.
    """

    begun: int = 0
    participants: tuple[int, ...] = ()
    present: tuple[int, ...] = ()
    total: NDArray[np.int64] | None = None
    summed: float = 0.0

    def begin(self, turn: Turn) -> None:
        """Forget what an earlier round left."""
        if self.begun != turn.round:
            self.begun, self.participants, self.present = turn.round, (), ()
            self.total, self.summed = None, 0.0

    @property
    def missing(self) -> tuple[int, ...]:
        """Participants whose masked vectors did not arrive, where others' did."""
        return tuple(
            each for each in self.participants if self.present and each not in self.present
        )


class SecureSum(Exchange):
    """Secure aggregation (Bonawitz et al. 2017) of what a strategy would send upwards, under a master.

    It comes before the strategy among the bases of a class. Every slave multiplies its numbers by its weight,
    rounds them to 24 binary places, and adds a mask for every other slave, modulo 2^64: of each pair one adds
    what the other takes away. One such message is uniformly random; in the sum, the masks cancel. The master
    adds its own numbers in the open, and sends the result to all, as the strategy does.

    An exchange takes three passes. Slaves send public keys, and the master sends them on; slaves send masked
    numbers; if some of these are lost, the master names those that arrived, and their senders reveal the
    seeds that they share with the lost ones, so that the master can take the masks left over away. If a seed
    is lost too, or fewer than two slaves are left, there is no result in that round.

    What it is not: the agreement on keys is simulated, and seeds derive from the run's seed; a master that
    colludes with all slaves but one learns that one's part; one that claims a late slave lost learns its part
    from the revealed seeds (the paper's second mask, and shares of it, prevent that); and nothing keeps the
    result itself from showing private text. Bytes: eight for each number upwards, and 32 for each key and
    each revealed seed, with headers; the ledger counts them all.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, 2017.
    """

    unprotectable: ClassVar[str] = "masked integers"

    @abstractmethod
    def offered(self, learner: Learner, turn: Turn) -> NDArray[np.float64]:
        """Return the agent's numbers `[P]`."""

    @abstractmethod
    def form(self, learner: Learner) -> tuple[int, str]:
        """Return P, and a fingerprint of what the numbers mean, which all agents share."""

    @abstractmethod
    def settle(
        self, learner: Learner, mean: NDArray[np.float64], weight: float, turn: Turn
    ) -> None:
        """Let the master conclude, from the slaves' weighted mean `[P]` and the sum of their weights."""

    def share(self, learner: Learner) -> float:
        """Return the weight of the agent's numbers."""
        return 1.0

    @property
    def masks(self) -> bool:
        """Return whether agents exchange at all; a control in which they do not has nothing to mask."""
        return True

    @property
    def passes(self) -> int:
        """Three: keys, masked sums, and what was lost."""
        return 3 if self.masks else 1

    @property
    def asynchronous(self) -> bool:
        """Return False: masks cancel only in one round."""
        return False

    def check(self, society: Society) -> None:
        """Refuse other networks than a master with two slaves or more."""
        network = society.network
        if network is not None and (
            network.family != "master_slave" or network.agents < 1 + _FEWEST
        ):
            raise ValueError(
                f"exchange.kind={self.kind} needs a master that sums over two slaves or more; choose the "
                "topology master_slave with three agents or more, or exchange.kind "
                f"{self.kind.removeprefix('secure_')}"
            )
        super().check(society)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send keys, a masked vector, names or seeds, or the result, as the pass asks."""
        if not self.masks:
            return self.result(learner, turn)
        state = _round_of(learner)
        if turn.passage == 0 and turn.direction is Direction.UP:
            return _keys(learner, turn, [learner.id])
        if state.begun != turn.round:
            return None
        if turn.passage == 0:
            enough = len(state.participants) >= _FEWEST
            return _keys(learner, turn, state.participants) if enough else None
        if turn.passage == 1 and turn.direction is Direction.UP:
            return self._masked(learner, turn) if learner.id in state.participants else None
        if turn.passage == 1:
            asks = state.missing and len(state.present) >= _FEWEST
            return _packed(dict.fromkeys(state.present, bytes(KEY_BYTES))) if asks else None
        if turn.direction is Direction.UP:
            return _seeds(learner, turn) if learner.id in state.present else None
        return self.result(learner, turn)

    @abstractmethod
    def result(self, learner: Learner, turn: Turn) -> Payload | None:
        """Return what the master sends down once it has concluded; None where it has not."""

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept keys, a masked vector in the agent's form, or a result, as the pass asks."""
        if self._is_plain(turn):
            return super().expects(learner, turn)  # type: ignore[safe-super]
        if turn.passage == 1 and turn.direction is Direction.UP:
            size, layout = self.form(learner)
            return Expected(MaskedSum, {"values": (size,)}, layout)
        count = 1 if turn.passage == 0 and turn.direction is Direction.UP else None
        return Expected(Keys, {"ids": (count,), "values": (count, KEY_BYTES)})

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce a round in which no message is lost: see `Exchange.announces`."""
        if self.masks and turn.passage == 0:
            slaves = 1 if turn.direction is Direction.UP else len(represented) - 1
            return Announced(Keys, {"ids": (slaves,), "values": (slaves, KEY_BYTES)})
        masks = turn.passage == 1 and turn.direction is Direction.UP
        sent = masks or self._is_plain(turn)
        return super().announces(learner, turn, represented) if sent else None

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Note keys and names, sum masked vectors, take leftovers away, or adopt a result."""
        if not inbox:
            return
        if self._is_plain(turn):
            super().merge(learner, inbox, turn)  # type: ignore[safe-super]
            return
        state = _round_of(learner)
        state.begin(turn)
        if turn.direction is Direction.DOWN:
            named = tuple(_read(inbox[0], Keys).ids.tolist())
            if turn.passage == 0:
                state.participants = named
            else:
                state.present = tuple(each for each in named if each in state.participants)
        elif turn.passage == 0:
            state.participants = tuple(message.envelope.sender for message in inbox)
        elif turn.passage == 1:
            self._sum(learner, inbox, turn)
        elif state.total is not None:
            self._unmask(learner, inbox, turn)

    def _is_plain(self, turn: Turn) -> bool:
        """Return whether the messages of a hop are those of the strategy itself."""
        return not self.masks or (turn.passage == 2 and turn.direction is Direction.DOWN)

    def _masked(self, learner: Learner, turn: Turn) -> Payload:
        weight, participants = self.share(learner), _round_of(learner).participants
        words = fixed_point(self.offered(learner, turn) * weight)
        values = masked(words, learner.id, _shared(learner, turn, participants))
        return MaskedSum(values=values, weight=weight, layout=self.form(learner)[1])

    def _sum(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Add masked vectors; conclude at once where none is lost."""
        state = _round_of(learner)
        known = [message for message in inbox if message.envelope.sender in state.participants]
        if len(known) < _FEWEST:
            return
        state.present = tuple(message.envelope.sender for message in known)
        parts = [_read(message, MaskedSum) for message in known]
        total: NDArray[np.uint64] = np.zeros(self.form(learner)[0], np.uint64)
        for part in parts:
            total += part.values
        state.total = total.view(np.int64)
        state.summed = sum(part.weight for part in parts)
        if not state.missing:
            self._conclude(learner, turn)

    def _unmask(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Take away the masks that the present slaves share with the lost ones; all must have answered."""
        state = _round_of(learner)
        answers = {message.envelope.sender: _read(message, Keys) for message in inbox}
        complete = {agent for agent, keys in answers.items() if tuple(keys.ids) == state.missing}
        if state.total is None or not complete.issuperset(state.present):
            return
        total = state.total.view(np.uint64)
        for agent in state.present:
            rows = zip(state.missing, answers[agent].values, strict=True)
            seeds = {other: row.tobytes() for other, row in rows}
            total = total - leftover(agent, seeds, len(total))
        state.total = total.view(np.int64)
        self._conclude(learner, turn)

    def _conclude(self, learner: Learner, turn: Turn) -> None:
        state = _round_of(learner)
        assert state.total is not None
        mean = from_fixed_point(state.total.view(np.uint64)) / state.summed
        state.total = None
        self.settle(learner, mean, state.summed, turn)


def _round_of(learner: Learner) -> MaskedRound:
    return MaskedRound.of(learner)


def _keys(learner: Learner, turn: Turn, agents: Sequence[int]) -> Payload:
    """Return the public keys of agents; they stand for what a real agreement would send."""
    return _packed({each: pair_seed(learner.seed, each, each, turn.round) for each in agents})


def _seeds(learner: Learner, turn: Turn) -> Payload | None:
    missing = _round_of(learner).missing
    return _packed(_shared(learner, turn, missing)) if missing else None


def _shared(learner: Learner, turn: Turn, agents: Sequence[int]) -> dict[int, bytes]:
    """Return the secret that an agent shares with each of some others."""
    return {
        each: pair_seed(learner.seed, learner.id, each, turn.round)
        for each in agents
        if each != learner.id
    }


def _packed(keys: Mapping[int, bytes]) -> Payload:
    rows = [np.frombuffer(key, np.uint8) for key in keys.values()]
    return Keys(ids=np.array([*keys], np.int32), values=np.stack(rows))


def _read(message: Message, payload: type[Any]) -> Any:
    assert isinstance(message.payload, payload)  # guaranteed by `expects`
    return message.payload
