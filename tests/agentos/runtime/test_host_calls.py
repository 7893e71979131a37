"""Typed calls of hosts: what they are called, and that they run on a host and come back typed."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any, get_args

import pytest

from agentos.rounds.faults.kill import Kill
from agentos.runtime import host_calls
from agentos.runtime.host_calls import Begin, HostCall, Phase, Trace, Train
from agentos.runtime.local import LocalRuntime
from agents.exchange.isolated import Isolated
from agents.training.blueprint import Arm

CALLS = [
    each
    for _, each in inspect.getmembers(host_calls, inspect.isclass)
    if issubclass(each, HostCall) and each is not HostCall
]


def test_titles_are_distinct_verbs_and_phases_are_known() -> None:
    assert len({call.title() for call in CALLS}) == len(CALLS) > 15
    assert Train.title() == "train"
    assert {call.phase for call in CALLS} <= {*get_args(Phase)}


@pytest.mark.parametrize("phase", ["train", "compose", "merge", "evaluate"])
def test_phases_in_which_a_host_can_be_killed_are_phases_of_calls(phase: Any) -> None:
    assert Kill(phase=phase, rounds=(1, 1)).victim(phase) == 0
    assert phase in {call.phase for call in CALLS}


def test_call_travels_and_its_trace_holds_the_same_answer(
    make_blueprint: Callable[..., Any],
) -> None:
    with LocalRuntime().start(make_blueprint(2)) as session:
        session.call_all(Begin(Arm(Isolated(), 0.0)))
        train = pickle.loads(pickle.dumps(Train(1, absent=frozenset({1}))))
        assert train == Train(1, absent=frozenset({1}))
        (traced,) = session.call_all(Trace(train)).values()
        assert traced.answer.keys() == {0}
        assert [(span.phase, span.agent) for span in traced.spans] == [("train", 0)]
        assert (
            traced.began_s <= traced.spans[0].began_s <= traced.spans[0].ended_s <= traced.ended_s
        )
