from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator

import pytest

from protocols import errors
from protocols.errors import AgentOSError, ProtocolError, RejectedMessage, RuntimeFailure, WireError

DETAILS = {"expected": 3, "actual": "four", "hint": "count again"}


def tree(cls: type[AgentOSError] = AgentOSError) -> Iterator[type[AgentOSError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def made(cls: type[AgentOSError]) -> AgentOSError:
    own = {"reason": "hop"} if issubclass(cls, RejectedMessage) else {}
    return cls("wrong number", **DETAILS, **own)  # type: ignore[arg-type]


class TwoArguments(RuntimeFailure):
    def __init__(self, host: int, hosts: int) -> None:
        super().__init__(f"host {host} of {hosts} died", hint="start it again")
        self.host = host


def test_every_public_error_of_the_module_is_in_the_tree() -> None:
    members = inspect.getmembers(errors, inspect.isclass)
    classes = {cls for _, cls in members if cls.__module__ == errors.__name__}
    assert classes - set(tree()) == set()
    assert len(classes) > 10


@pytest.mark.parametrize("cls", list(tree()), ids=lambda cls: cls.__name__)
def test_error_survives_pickling_with_all_it_says(cls: type[AgentOSError]) -> None:
    error = made(cls)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert vars(copy) == vars(error)
    assert str(copy) == str(error) == ("wrong number; expected: 3; actual: four; hint: count again")
    assert copy.args == error.args


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_error_with_another_signature_survives_pickling(protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(TwoArguments(2, hosts=3), protocol))
    assert (str(copy), copy.host) == ("host 2 of 3 died; hint: start it again", 2)


def test_details_left_out_are_not_printed() -> None:
    assert str(AgentOSError("wrong")) == "wrong"
    assert str(AgentOSError("wrong", actual=0)) == "wrong; actual: 0"


def test_rejection_keeps_its_reason_and_sender() -> None:
    error = RejectedMessage("no", reason="hop", sender=4)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reason, copy.sender) == ("hop", 4)


def test_wire_errors_and_rejections_are_protocol_errors() -> None:
    assert issubclass(WireError, ProtocolError)
    assert issubclass(RejectedMessage, ProtocolError)
    assert not issubclass(RejectedMessage, WireError)
