"""The walk through a protocol, over strategies that are right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from pydantic import PrivateAttr

from agentos.preflight.dry_run import spoken_for, walk
from agents.exchange.base import Announced, Exchange, Expected, Learner, Turn
from agents.exchange.isolated import Isolated
from protocols.messages import Message, Metrics, Payload, Prototypes, Weights
from protocols.topologies import Direction, Hop, Network, Topology
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import PeerNetwork, Ring
from protocols.topologies.schedule import OnePeerExponential, RandomMatching


@dataclass
class Stub:
    """A learner that is asked for sizes only."""

    id: int
    width: int = 8
    examples: int = 10
    memory: dict[str, Any] = field(default_factory=dict)


class Centres(Exchange):
    """Three centres of the agent's own width."""

    kind: Literal["centres"] = "centres"

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        raise NotImplementedError

    def expects(self, learner: Any, turn: Turn) -> Expected:
        return Expected(Prototypes, {"values": (3, learner.width), "counts": (3,)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        raise NotImplementedError


class Whispers(Centres):
    """Only even agents speak."""

    kind: Literal["whispers"] = "whispers"  # type: ignore[assignment]

    def announces(self, learner: Learner, turn: Turn, represented: Any) -> Announced | None:
        return super().announces(learner, turn, represented) if learner.id % 2 == 0 else None


class Confused(Centres):
    """Sends parameters where centres are awaited."""

    kind: Literal["confused"] = "confused"  # type: ignore[assignment]

    def announces(self, learner: Learner, turn: Turn, represented: Any) -> Announced | None:
        return Announced(Weights, {"values": (5,)}, {"weight": 1.0, "layout": "x"})


class Vague(Centres):
    """Leaves a size open."""

    kind: Literal["vague"] = "vague"  # type: ignore[assignment]

    def expects(self, learner: Any, turn: Turn) -> Expected:
        return Expected(Prototypes, {"values": (None, learner.width), "counts": (3,)})


class Chatty(Centres):
    """Sends numbers by name without announcing how many."""

    kind: Literal["chatty"] = "chatty"  # type: ignore[assignment]

    def expects(self, learner: Any, turn: Turn) -> Expected:
        return Expected(Metrics, {})


def walked(
    exchange: Exchange, topology: Topology, agents: int = 4, rounds: int = 3, **stub: Any
) -> Any:
    network = topology.build(agents, seed=0)
    learners: Any = {id: Stub(id, **stub) for id in range(agents)}
    return walk(exchange, network, learners, rounds)


def test_every_delivery_is_counted() -> None:
    found = walked(Centres(), Ring())
    rows = found.ledger.rows()
    assert found.problems == []
    assert found.rounds == (1, 2)
    assert found.apart == 0
    assert len(rows["round"]) == 2 * 4 * 2
    sizes = set(rows["payload_bytes"])
    assert len(sizes) == 1
    assert (sizes.pop() - 3 * 8 * 4 - 3 * 4) % 64 == 0


class Growing(Centres):
    """Sends more from round to round, and does not say so by `form_of`."""

    kind: Literal["growing"] = "growing"  # type: ignore[assignment]

    def expects(self, learner: Any, turn: Turn) -> Expected:
        return Expected(
            Prototypes, {"values": (turn.round, learner.width), "counts": (turn.round,)}
        )


class Counted(Centres):
    """Counts how often a message is announced."""

    kind: Literal["counted"] = "counted"  # type: ignore[assignment]
    _asked: list[int] = PrivateAttr(default_factory=list)

    def announces(self, learner: Learner, turn: Turn, represented: Any) -> Announced | None:
        self._asked.append(turn.round)
        return super().announces(learner, turn, represented)


@pytest.mark.parametrize("exchange", [Centres(), Growing()])
@pytest.mark.parametrize("topology", [Ring(), OnePeerExponential(), RandomMatching()])
def test_rounds_of_one_form_count_as_if_each_were_walked(
    exchange: Exchange, topology: Topology
) -> None:
    found = walked(exchange, topology, rounds=300).ledger
    assert set(found.rows()["round"]) == set(range(1, 300))
    for round in (1, 2, 3, 127, 128, 129, 255, 256, 257, 299):
        alone = exchange.model_copy(update={"first": round})
        assert found.rows(round) == walked(alone, topology, rounds=round + 1).ledger.rows(round)


def test_rounds_of_one_form_are_walked_but_twice() -> None:
    exchange = Counted()
    walked(exchange, Ring(), rounds=100_000)
    assert len(set(exchange._asked)) <= 8  # the first and last of four widths of a header


def test_codec_is_counted_beside_fp32() -> None:
    coded = walked(Centres(codec="fp16"), Ring(), width=1000).ledger
    plain = walked(Centres(), Ring(), width=1000).ledger
    assert coded.fp32_total() == plain.total() == plain.fp32_total()
    assert 0.45 < coded.total() / plain.total() < 0.55


def test_message_that_nobody_awaits_is_a_problem() -> None:
    (problem,) = {p.path: p for p in walked(Confused(), MasterSlave()).problems}.values()
    assert problem.path == "exchange"
    assert "weights" in str(problem.given)
    assert "prototypes" in str(problem.allowed)


def test_unlike_shapes_are_a_problem() -> None:
    network = Ring().build(3, seed=0)
    learners: Any = {id: Stub(id, width=8 + id) for id in range(3)}
    found = walk(Centres(), network, learners, rounds=2)
    assert len(found.problems) == 6
    assert found.problems[0].given == "values [3, 8]"
    assert "values [3, 9]" in str(found.problems[0].allowed)


def test_agents_out_of_reach_are_named() -> None:
    found = walked(Whispers(), Ring(), agents=6)
    # An even agent hears none but its silent neighbours.
    assert [problem.message for problem in found.problems] == [
        "agent-0, agent-2, agent-4 never receive anything",
        "agent-1, agent-3, agent-5 never reach any other agent",
    ]
    assert all("training.rounds" in str(problem.allowed) for problem in found.problems)


@pytest.mark.parametrize(("agents", "more"), [(16, ""), (18, " and 1 more"), (40, " and 12 more")])
def test_eight_agents_out_of_reach_are_named_and_others_counted(agents: int, more: str) -> None:
    names = ", ".join(f"agent-{agent}" for agent in range(0, 16, 2))
    found = walked(Whispers(), Ring(), agents=agents)
    assert found.problems[0].message == f"{names}{more} never receive anything"


def test_pairs_that_never_hear_of_each_other_are_counted() -> None:
    found = walked(Centres(), Ring(), agents=8, rounds=3)
    assert found.problems == []
    assert found.apart == 8 * 3  # after two exchanges each has heard of four others


def test_silent_hop_is_told_and_nobody_waits() -> None:
    found = walked(Isolated(), Ring())
    assert (found.rounds, found.problems, found.ledger.total()) == ((), [], 0)

    class Upwards(Centres):
        kind: Literal["upwards"] = "upwards"  # type: ignore[assignment]

        def announces(self, learner: Learner, turn: Turn, represented: Any) -> Any:
            down = turn.direction is Direction.DOWN
            return None if down else super().announces(learner, turn, represented)

    found = walked(Upwards(), MasterSlave())
    assert found.silent == ["hop 1 (down): no agent sends"]
    assert found.problems[0].message == "agent-1, agent-2, agent-3 never receive anything"


@pytest.mark.parametrize(("exchange", "unknown"), [(Vague(), "values"), (Chatty(), "values")])
def test_strategy_that_leaves_a_size_open_must_announce(exchange: Exchange, unknown: str) -> None:
    with pytest.raises(NotImplementedError, match=f"size of {unknown} open .*announces"):
        walked(exchange, Ring())


def test_hop_over_edges_that_do_not_exist_is_a_problem() -> None:
    class Broken(PeerNetwork):
        def _hops(self, round: int) -> tuple[Hop, ...]:
            return (Hop(index=1, direction=Direction.PEER, edges=((0, 2), (2, 0), (1, 0))),)

    roles, levels = ("peer",) * 3, (0,) * 3
    network = Broken(agents=3, family="peer", edges=((0, 1), (1, 2)), roles=roles, levels=levels)
    learners: Any = {id: Stub(id) for id in range(3)}
    problems = [p.message for p in walk(Centres(), network, learners, 2).problems]
    assert "a hop that cannot end" in problems


@pytest.mark.parametrize(
    ("direction", "agent", "expected"),
    [
        (Direction.PEER, 1, (11,)),
        (Direction.UP, 0, (10, 11, 13, 14, 12, 15, 16)),
        (Direction.UP, 1, (11, 13, 14)),
        (Direction.UP, 3, (13,)),
        (Direction.DOWN, 1, (10, 11, 13, 14, 12, 15, 16)),
    ],
)
def test_fused_message_speaks_for_the_agents_below(
    direction: Direction, agent: int, expected: tuple[int, ...]
) -> None:
    network: Network = Layered(branching=2).build(7, seed=0)
    examples = {id: 10 + id for id in range(7)}
    assert network.children(0) == (1, 2)
    assert spoken_for(network, direction, agent, examples) == expected
