"""Decisions about failures: numbers in, decisions out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from agentos.rounds.faults.policies import PolicyConfig, fewest, in_time, restarts_after, sendings
from protocols.errors import DeadlineExceeded, HostLost, RuntimeFailure, TopologyError


@pytest.mark.parametrize(
    ("error", "before", "policy", "expected"),
    [
        (HostLost("x"), 0, {}, True),
        (HostLost("x"), 2, {}, True),
        (HostLost("x"), 3, {}, False),
        (HostLost("x"), 0, {"restarts": 0}, False),
        (HostLost("x"), 0, {"on_timeout": "abort"}, True),
        (DeadlineExceeded("x"), 0, {}, True),
        (DeadlineExceeded("x"), 0, {"on_timeout": "abort"}, False),
        (DeadlineExceeded("x"), 3, {}, False),
        (RuntimeFailure("the object store is full"), 0, {}, False),
    ],
)
def test_only_lost_and_late_hosts_are_worth_a_restart(
    error: RuntimeFailure, before: int, policy: dict[str, Any], expected: bool
) -> None:
    assert restarts_after(error, before, PolicyConfig(**policy)) is expected


@pytest.mark.parametrize(
    ("arrival_s", "deadline_s", "expected"),
    [(0.0, None, True), (1e9, None, True), (1.0, 1.0, True), (1.001, 1.0, False), (0.0, 0.5, True)],
)
def test_messages_count_up_to_the_deadline(
    arrival_s: float, deadline_s: float | None, expected: bool
) -> None:
    assert in_time(arrival_s, PolicyConfig(deadline_s=deadline_s)) is expected


@pytest.mark.parametrize(
    ("lost", "retries", "expected"),
    [
        (lambda attempt: False, 0, (1, True)),
        (lambda attempt: True, 0, (1, False)),
        (lambda attempt: attempt < 3, 2, (3, False)),
        (lambda attempt: attempt < 3, 3, (4, True)),
        (lambda attempt: False, 9, (1, True)),
    ],
)
def test_lost_messages_are_sent_until_they_arrive_or_the_retries_are_spent(
    lost: Callable[[int], bool], retries: int, expected: tuple[int, bool]
) -> None:
    assert sendings(lost, PolicyConfig(retries=retries)) == expected


@pytest.mark.parametrize(
    ("expected", "quorum", "needed"),
    [
        (0, 1.0, 0),
        (1, 0.01, 1),
        (3, 2 / 3, 2),
        (4, 0.5, 2),
        (5, 0.5, 3),
        (100, 0.07, 7),
        (9, 0.0, 0),
    ],
)
def test_quorum_is_a_share_of_the_messages_expected_rounded_up(
    expected: int, quorum: float, needed: int
) -> None:
    assert fewest(expected, PolicyConfig(quorum=quorum)) == needed


def test_policies_that_mean_nothing_are_refused() -> None:
    for wrong in ({"quorum": 1.5}, {"retries": -1}, {"deadline_s": 0.0}, {"below_quorum": "cry"}):
        with pytest.raises(ValidationError):
            PolicyConfig(**wrong)


def test_errors_of_other_kinds_are_no_failures_of_hosts() -> None:
    assert not issubclass(TopologyError, RuntimeFailure)
    assert issubclass(HostLost, RuntimeFailure)
