"""Duties of every runtime: place agents, take calls, bring back answers and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentos.runtime import RUNTIMES, Runtime, Session
from agentos.runtime.host_calls import Begin, Compose, Evaluate, Merge, Train
from agentos.runtime.local import LocalRuntime
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.isolated import Isolated
from agents.hosting.delivery import Delivery
from agents.training.blueprint import Arm
from protocols.errors import TrainingError
from protocols.topologies import Hop
from protocols.topologies.peer import Ring

AGENTS = 4
EXCHANGE = AnchorContrast()


@pytest.fixture(
    params=[
        pytest.param(kind, marks=[pytest.mark.ray, pytest.mark.slow] if kind == "ray" else [])
        for kind in RUNTIMES
    ]
)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each runtime of the table; Ray's hosts are up already."""
    if request.param == "ray":
        warm: Runtime = request.getfixturevalue("warm")
        return warm
    return RUNTIMES[request.param]()


@pytest.fixture
def session(runtime: Runtime, make_blueprint: Callable[..., Any]) -> Iterator[Session]:
    with runtime.start(make_blueprint(AGENTS)) as session:
        yield session


def merged(answers: dict[int, dict[int, Any]]) -> dict[int, Any]:
    """Bring the hosts' answers together, time fields left out."""
    return {
        agent: {k: v for k, v in value.items() if not k.endswith("_s")}
        if isinstance(value, dict)
        else value
        for answer in answers.values()
        for agent, value in answer.items()
    }


def take_a_round(session: Session) -> list[dict[int, Any]]:
    """Begin, train, exchange around a ring, train again, evaluate."""
    from agents.exchange import Turn

    session.call_all(Begin(Arm(EXCHANGE, EXCHANGE.anchor_fraction)))
    first = merged(session.call_all(Train(1)))
    hop: Hop = Ring().build(AGENTS, seed=0).hops(1)[0]
    turn = Turn(round=1, hop=0, direction=hop.direction)
    calls = {host: Compose({}) for host in session.hosts}
    for agent, host in session.placement.items():
        calls[host].turns[agent] = (turn, hop.recipients(agent))
    outboxes = list(session.call(calls).values())
    deliveries = {host: Merge([box.handle for box in outboxes], {}) for host in calls}
    for agent, host in session.placement.items():
        found = tuple(
            (number, index)
            for number, box in enumerate(outboxes)
            for index, recipients in enumerate(box.recipients)
            if agent in recipients
        )
        deliveries[host].deliveries[agent] = Delivery(turn, frozenset(hop.senders(agent)), found)
    rejected = merged(session.call(deliveries))
    return [
        first,
        rejected,
        merged(session.call_all(Train(2))),
        merged(session.call_all(Evaluate())),
    ]


def test_every_agent_has_a_host(session: Session) -> None:
    assert session.placement.keys() == set(range(AGENTS))
    assert session.hosts == tuple(sorted(set(session.placement.values())))


def test_every_host_trains_its_own_agents(session: Session) -> None:
    session.call_all(Begin(Arm(Isolated(), 0.0)))
    answers = session.call_all(Train(1))
    for host, answer in answers.items():
        assert answer.keys() == {a for a, place in session.placement.items() if place == host}


def test_answers_come_in_the_order_of_the_arguments(session: Session) -> None:
    order = session.hosts[::-1]
    assert tuple(session.call(dict.fromkeys(order, Begin(Arm(Isolated(), 0.0))))) == order


def test_calling_nobody_is_legal(session: Session) -> None:
    assert session.call({}) == {}


def test_round_is_the_same_to_the_bit_as_in_this_process(
    session: Session, make_blueprint: Callable[..., Any]
) -> None:
    with LocalRuntime().start(make_blueprint(AGENTS)) as local:
        expected = take_a_round(local)
    assert take_a_round(session) == expected
    assert expected[1] == {agent: [] for agent in range(AGENTS)}
    assert all(metrics["exchange_loss"] > 0 for metrics in expected[2].values())


def test_beginning_again_is_a_fresh_start(session: Session) -> None:
    assert take_a_round(session) == take_a_round(session)


def test_building_again_replaces_the_agents(
    session: Session, make_blueprint: Callable[..., Any]
) -> None:
    session.build(make_blueprint(3, seed=5))
    assert session.placement.keys() <= set(range(AGENTS))
    session.call_all(Begin(Arm(Isolated(), 0.0)))
    assert merged(session.call_all(Train(1))).keys() == {0, 1, 2}


def test_error_of_a_host_arrives_as_itself(
    runtime: Runtime, make_blueprint: Callable[..., Any]
) -> None:
    def evaluate(subject: Any) -> dict[str, float]:
        raise TrainingError("no number", expected="one", actual="none", hint="find one")

    with runtime.start(make_blueprint(AGENTS, evaluate=evaluate)) as session:
        session.call_all(Begin(Arm(Isolated(), 0.0)))
        with pytest.raises(TrainingError, match="no number") as caught:
            session.call_all(Evaluate())
    error = caught.value
    assert (error.expected, error.actual, error.hint) == ("one", "none", "find one")


def test_closing_twice_does_nothing(runtime: Runtime, make_blueprint: Callable[..., Any]) -> None:
    session = runtime.start(make_blueprint(AGENTS))
    session.close()
    session.close()
