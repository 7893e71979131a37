"""FedAvg under a master that sees the sum of the agents' parameters, and none of the parts.

Legend: P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from agents.exchange.base import Announced, ExchangeState, Expected, Learner, Turn
from agents.exchange.parameters.averaging import ParameterExchange, ParameterState
from agents.exchange.privacy.masks import (
    fixed_point,
    from_fixed_point,
    leftover,
    masked,
    pair_seed,
)
from agents.lazy_torch import torch
from protocols.messages import Keys, MaskedSum, Message, Payload
from protocols.messages.masked import KEY_BYTES
from protocols.topologies.hops import Direction
from protocols.topologies.network import Network

_FEWEST = 2
"""Fewest slaves in a sum: of one alone, the sum shows the part."""


@dataclass
class SecureState(ParameterState):
    """Progress of a round of secure aggregation.

    Attributes:
        begun: round that the rest is about.
        participants: agents whose keys arrived.
        present: those of them whose masked vectors arrived.
        total: `[P]`, sum of these modulo 2^64, at the master, as int64.
        documents: sum of their weights.
    """

    begun: int = 0
    participants: tuple[int, ...] = ()
    present: tuple[int, ...] = ()
    total: NDArray[np.int64] | None = None
    documents: float = 0.0

    def begin(self, turn: Turn) -> None:
        """Forget what an earlier round left."""
        if self.begun != turn.round:
            self.begun, self.participants, self.present = turn.round, (), ()
            self.total, self.documents = None, 0.0

    @property
    def missing(self) -> tuple[int, ...]:
        """Participants whose masked vectors did not arrive, where others' did."""
        return tuple(
            each for each in self.participants if self.present and each not in self.present
        )


class SecureFedAvg(ParameterExchange):
    """FedAvg with secure aggregation (Bonawitz et al. 2017): the master learns a sum, and no agent's part.

    Every slave multiplies its parameters by its number of documents, rounds them to 24 binary places, and
    adds a mask for every other slave, modulo 2^64: of each pair one adds what the other takes away. One such
    message is uniformly random; in the sum, the masks cancel. The master adds its own parameters in the open,
    divides by the number of documents, and sends the result to all, as ``fedavg`` does. The result is that of
    ``fedavg``, except for rounding.

    An exchange takes three passes. Slaves send public keys, and the master sends them on; slaves send masked
    parameters; if some of these are lost, the master names those that arrived, and their senders reveal the
    seeds that they share with the lost ones, so that the master can take the masks left over away. If a seed
    is lost too, or fewer than two slaves are left, there is no result in that round.

    What it is not: the agreement on keys is simulated, and seeds derive from the run's seed; a master that
    colludes with all slaves but one learns that one's part; one that claims a late slave lost learns its part
    from the revealed seeds (the paper's second mask, and shares of it, prevent that); and nothing keeps the
    average itself from showing private text. Bytes: eight for each parameter upwards, four downwards, and 32
    for each key and each revealed seed, with headers; the ledger counts them all.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, 2017.
    """

    kind: Literal["secure_fedavg"] = "secure_fedavg"
    state_type: ClassVar[type[ExchangeState]] = SecureState
    unprotectable: ClassVar[str] = "masked integers"

    @property
    def passes(self) -> int:
        """Three: keys, masked sums, and what was lost."""
        return 3

    @property
    def asynchronous(self) -> bool:
        """Return False: masks cancel only in one round."""
        return False

    def check_network(self, network: Network) -> None:
        """Refuse other networks than a master with two slaves or more, and rules that need the parts."""
        if network.family != "master_slave" or network.agents < 1 + _FEWEST:
            raise ValueError(
                f"exchange.kind={self.kind} needs a master that sums over two slaves or more; choose the "
                "topology master_slave with three agents or more, or exchange.kind fedavg"
            )
        if self.fusion.kind != "mean":
            raise ValueError(
                f"exchange.fusion {self.fusion.kind} compares the agents' parameters, and "
                f"exchange.kind={self.kind} hides them; use the fusion mean, or exchange.kind fedavg"
            )

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send keys, a masked vector, names or seeds, or the result, as the pass asks."""
        state = SecureState.of(learner)
        if turn.passage == 0 and turn.direction is Direction.UP:
            return _keys(learner, turn, [learner.id])
        if state.begun != turn.round:
            return None
        if turn.passage == 0:
            return (
                _keys(learner, turn, state.participants)
                if len(state.participants) >= _FEWEST
                else None
            )
        if turn.passage == 1 and turn.direction is Direction.UP:
            return self._masked(learner, turn) if learner.id in state.participants else None
        if turn.passage == 1:
            asks = state.missing and len(state.present) >= _FEWEST
            return Keys(ids=_ids(state.present), values=_blank(state.present)) if asks else None
        if turn.direction is Direction.UP:
            return self._seeds(learner, turn) if learner.id in state.present else None
        return super().compose(learner, turn)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept keys, a masked vector in the agent's layout, or a result, as the pass asks."""
        if turn.passage == 2 and turn.direction is Direction.DOWN:
            return super().expects(learner, turn)
        if turn.passage == 1 and turn.direction is Direction.UP:
            return Expected(MaskedSum, {"values": (len(learner.parameters),)}, learner.layout)
        count = 1 if turn.passage == 0 and turn.direction is Direction.UP else None
        return Expected(Keys, {"ids": (count,), "values": (count, KEY_BYTES)})

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce a round in which no message is lost: see `Exchange.announces`."""
        if turn.passage == 0:
            slaves = 1 if turn.direction is Direction.UP else len(represented) - 1
            return Announced(Keys, {"ids": (slaves,), "values": (slaves, KEY_BYTES)})
        settles = turn.passage == 2 and turn.direction is Direction.DOWN
        masks = turn.passage == 1 and turn.direction is Direction.UP
        return super().announces(learner, turn, represented) if settles or masks else None

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return the number of the agent's documents."""
        return {"weight": float(learner.examples)}

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Note keys and names, sum masked vectors, take leftovers away, or adopt a result."""
        if not inbox:
            return
        if turn.passage == 2 and turn.direction is Direction.DOWN:
            super().merge(learner, inbox, turn)
            return
        state = SecureState.of(learner)
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

    def _masked(self, learner: Learner, turn: Turn) -> Payload:
        weight, state = self.weight(learner), SecureState.of(learner)
        words = fixed_point(learner.parameters.cpu().double().numpy() * weight)
        seeds = _shared(learner, turn, state.participants)
        values = masked(words, learner.id, seeds)
        return MaskedSum(values=values, weight=weight, layout=learner.layout)

    def _seeds(self, learner: Learner, turn: Turn) -> Payload | None:
        missing = SecureState.of(learner).missing
        if not missing:
            return None
        seeds = _shared(learner, turn, missing)
        rows = [np.frombuffer(seeds[each], np.uint8) for each in missing]
        return Keys(ids=_ids(missing), values=np.stack(rows))

    def _sum(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Add masked vectors; conclude at once where none is lost."""
        state = SecureState.of(learner)
        known = [message for message in inbox if message.envelope.sender in state.participants]
        if len(known) < _FEWEST:
            return
        state.present = tuple(message.envelope.sender for message in known)
        parts = [_read(message, MaskedSum) for message in known]
        total: NDArray[np.uint64] = np.zeros(len(learner.parameters), np.uint64)
        for part in parts:
            total += part.values
        state.total = total.view(np.int64)
        state.documents = sum(part.weight for part in parts)
        if not state.missing:
            self._conclude(learner, turn)

    def _unmask(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Take away the masks that the present slaves share with the lost ones; all must have answered."""
        state = SecureState.of(learner)
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
        """Add the master's own parameters, divide, and adopt the average."""
        state, own = SecureState.of(learner), self.weight(learner)
        assert state.total is not None
        summed = from_fixed_point(state.total.view(np.uint64))
        summed = summed + own * learner.parameters.cpu().double().numpy()
        mean_P = torch.from_numpy((summed / (own + state.documents)).astype(np.float32))
        state.total = None
        self._settle(learner, mean_P.to(learner.parameters.device), turn)


def _keys(learner: Learner, turn: Turn, agents: Sequence[int]) -> Payload:
    """Return the public keys of agents; they stand for what a real agreement would send."""
    rows = [
        np.frombuffer(pair_seed(learner.seed, each, each, turn.round), np.uint8) for each in agents
    ]
    return Keys(ids=_ids(agents), values=np.stack(rows))


def _shared(learner: Learner, turn: Turn, agents: Sequence[int]) -> dict[int, bytes]:
    """Return the secret that an agent shares with each of some others."""
    return {
        each: pair_seed(learner.seed, learner.id, each, turn.round)
        for each in agents
        if each != learner.id
    }


def _ids(agents: Sequence[int]) -> NDArray[np.int32]:
    return np.array(agents, np.int32)


def _blank(agents: Sequence[int]) -> NDArray[np.uint8]:
    return np.zeros((len(agents), KEY_BYTES), np.uint8)


def _read(message: Message, payload: type[Any]) -> Any:
    assert isinstance(message.payload, payload)  # guaranteed by `expects`
    return message.payload
