"""Epsilon and delta of a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.exchange import EXCHANGES
from agents.exchange.accountant import epsilon_of, guarantees, refusal, statement
from protocols.ledger import Ledger

PROTECTED = {"clip": 1.0, "noise": 4.0}


def delta_by_integration(epsilon: float, mu: float) -> float:
    """Integrate ``max(0, p - exp(epsilon) q)`` for p = N(mu, 1) and q = N(0, 1), the definition of delta."""
    x = np.linspace(-30.0, 60.0, 900_001)
    p, q = (np.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (mu, 0.0))
    return float(np.maximum(0.0, p - math.exp(epsilon) * q).sum() * (x[1] - x[0]))


@pytest.mark.parametrize(("messages", "noise"), [(1, 8.0), (16, 8.0), (10, 2.0)])
def test_epsilon_is_the_one_at_which_the_definition_gives_delta(messages, noise):
    epsilon = epsilon_of(messages, noise, 1e-5)
    mu = 2 * math.sqrt(messages) / noise
    assert delta_by_integration(epsilon, mu) == pytest.approx(1e-5, rel=1e-3)


def test_epsilon_is_that_of_dp_accounting():
    """Constants of dp-accounting 0.6.0, PLDAccountant: 10 events of noise multiplier 1 at delta 1e-5, and
    100 of 10: a multiplier counts in units of the sensitivity, here 2."""
    assert epsilon_of(10, 2.0, 1e-5) == pytest.approx(17.856587, rel=1e-6)
    assert epsilon_of(100, 20.0, 1e-5) == pytest.approx(4.377178, rel=1e-6)


def test_epsilon_of_nothing_is_zero_and_of_hardly_any_noise_is_huge():
    assert epsilon_of(0, 1.0, 1e-5) == 0.0
    assert epsilon_of(1, 1e9, 1e-5) == 0.0
    assert epsilon_of(4, 0.01, 1e-5) == pytest.approx((2 * 2 / 0.01) ** 2 / 2, rel=0.05)
    assert epsilon_of(4, 1e-9, 1e-5) == math.inf


def ledger_of(*rows: tuple[int, int, int, int], kind: str = "embeddings") -> Ledger:
    ledger = Ledger()
    for row in rows:
        ledger.record(*row, kind, 100)
    return ledger


def test_a_broadcast_is_one_message_and_every_round_counts():
    exchange = EXCHANGES["anchor_contrast"](privacy=PROTECTED)
    ledger = ledger_of((1, 0, 0, 1), (1, 0, 0, 2), (2, 0, 0, 1), (1, 0, 1, 0))
    first, second, third = guarantees(exchange, ledger, 3)
    assert [each.messages for each in (first, second, third)] == [2, 1, 0]
    assert first.epsilon == epsilon_of(2, 4.0, 1e-5) > second.epsilon > third.epsilon == 0.0


def test_messages_to_each_recipient_by_itself_count_each():
    exchange = EXCHANGES["dcco"](privacy=PROTECTED)
    ledger = ledger_of((1, 0, 0, 1), (1, 0, 0, 2), kind="statistics")
    assert guarantees(exchange, ledger, 1)[0].messages == 2


def test_the_least_noise_of_a_hybrid_counts_for_all_parts():
    parts = [{"fedavg": {"privacy": {"noise": 9.0}}}, {"anchor_contrast": {"privacy": PROTECTED}}]
    exchange = EXCHANGES["hybrid"](strategies=parts)
    ledger = ledger_of((1, 0, 0, 1), (1, 1, 0, 1))
    assert guarantees(exchange, ledger, 1)[0].epsilon == epsilon_of(2, 4.0, 1e-5)


@pytest.mark.parametrize(
    ("privacy", "reason"),
    [
        (None, "as they are"),
        ({"clip": None, "noise": 4.0}, "not clipped"),
        ({"clip": 1.0, "noise": 0.0}, "noise is 0"),
    ],
)
def test_no_guarantee_is_stated_where_there_is_none(privacy, reason):
    exchange = EXCHANGES["anchor_contrast"](privacy=privacy)
    assert reason in str(refusal(exchange))
    assert guarantees(exchange, ledger_of((1, 0, 0, 1)), 2) == ()


def test_no_guarantee_is_stated_of_ids():
    exchange = EXCHANGES["anchor_contrast"](privacy=PROTECTED)
    assert "ids" in str(refusal(exchange, frozenset({"rankings"})))
    assert guarantees(exchange, ledger_of((1, 0, 0, 1), kind="rankings"), 2) == ()


def test_one_part_without_protection_leaves_a_hybrid_without_a_guarantee():
    exchange = EXCHANGES["hybrid"](
        strategies=["fedavg", {"anchor_contrast": {"privacy": PROTECTED}}]
    )
    assert "fedavg" in str(refusal(exchange))


def test_a_statement_names_what_is_shown_and_the_guarantee_or_why_there_is_none():
    ledger = ledger_of((1, 0, 0, 1), (2, 0, 0, 1))
    plain = statement(EXCHANGES["anchor_contrast"](), ledger, 2)
    assert plain.startswith("messages are computed from: anchors; no differential privacy")
    noised = statement(EXCHANGES["anchor_contrast"](privacy=PROTECTED), ledger, 2)
    epsilon = f"epsilon {epsilon_of(2, 4.0, 1e-5):.3g} at most"
    assert f"all 2 messages of an agent together show its private text with {epsilon}" in noised
