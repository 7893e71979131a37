"""Differential privacy of a run: epsilon and delta of each agent, from the messages that it sent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import log_ndtr, ndtr

from agents.exchange.base import Exchange
from agents.exchange.privacy.protection import uncovered_fields
from protocols.ledger import Ledger
from protocols.messages import PAYLOADS

_LARGEST = 1e12


@dataclass(frozen=True)
class Guarantee:
    """Local differential privacy of one agent over a run.

    For any two private texts of the agent, however unlike, the probability of any outcome of all
    its messages changes by a factor of at most ``exp(epsilon)``, up to `delta`. The unit that is protected is
    a message: all that the agent could say. It holds for each of its documents too, but nothing sharper is
    said of one, since no document's contribution is clipped by itself.

    Attributes:
        agent: its number.
        messages: number of messages that it sent.
        epsilon, delta: the guarantee; epsilon is 0 for an agent that sent nothing.
    """

    agent: int
    messages: int
    epsilon: float
    delta: float


def refusal(exchange: Exchange, kinds: frozenset[str] = frozenset()) -> str | None:
    """Return why no guarantee can be stated of messages of these kinds; None if one can.

    Args:
        exchange: the strategy, or a hybrid.
        kinds: kinds of the payloads that were sent, or will be.
    """
    for part in exchange.parts:
        if part.privacy is None:
            return f"{part.kind} sends its messages as they are (exchange.privacy is not set)"
        if part.privacy.clip is None:
            return "messages are not clipped (exchange.privacy.clip), so no noise bounds what they show"
        if not part.privacy.noise:
            return "no noise is added (exchange.privacy.noise is 0)"
    for kind in sorted(kinds):
        if uncovered := uncovered_fields(PAYLOADS[kind]):
            return f"{kind} messages hold {', '.join(uncovered)}, which are not numbers to add noise to"
    return None


def guarantees(exchange: Exchange, ledger: Ledger, agents: int) -> tuple[Guarantee, ...]:
    """State the differential privacy of every agent.

    Every message is a Gaussian mechanism of sensitivity ``2 clip``: two messages of length `clip` lie at most
    that far apart. A broadcast is one message, however many receive it; where an agent addresses each
    recipient by itself, each delivery counts. In a hybrid the least noise counts for all parts. What was
    fused from others' messages they have protected themselves. Numbers of texts, and whether an agent sends
    at all, are taken to be public.

    Args:
        exchange: the strategy, or a hybrid.
        ledger: deliveries of the run, or of its dry run.
        agents: number of agents.

    Returns:
        One guarantee for each agent; none at all if `refusal` gives a reason.
    """
    rows = ledger.rows()
    if refusal(exchange, frozenset(rows["kind"])) is not None:
        return ()
    protections = [part.privacy for part in exchange.parts if part.privacy is not None]
    noise = min(each.noise for each in protections)
    delta = min(each.delta for each in protections)
    addressed = any(part.addresses_each for part in exchange.parts)
    deliveries = zip(rows["round"], rows["hop"], rows["sender"], rows["receiver"], strict=True)
    messages = {row if addressed else row[:3] for row in deliveries}
    counts = [sum(row[2] == agent for row in messages) for agent in range(agents)]
    return tuple(
        Guarantee(agent, count, epsilon_of(count, noise, delta), delta)
        for agent, count in enumerate(counts)
    )


def statement(exchange: Exchange, ledger: Ledger, agents: int) -> str:
    """Return a sentence on what the messages of a run show, and one on its differential privacy."""
    shown = exchange.shows
    said = "the exchange does not say" if shown is None else ", ".join(sorted(shown)) or "nothing"
    stated = guarantees(exchange, ledger, agents)
    if not stated:
        reason = refusal(exchange, frozenset(ledger.by_kind())) or "there are no agents"
        return f"messages are computed from: {said}; no differential privacy is stated: {reason}"
    worst = max(stated, key=lambda each: each.epsilon)
    return (
        f"messages are computed from: {said}; all {worst.messages:,} messages of an agent together show its "
        f"private text with epsilon {worst.epsilon:.3g} at most, at delta {worst.delta:g}"
    )


def epsilon_of(messages: int, noise: float, delta: float) -> float:
    """Return the smallest epsilon of so many Gaussian mechanisms in a row, each of sensitivity 2.

    Exact: together they are one mechanism of ``mu = 2 sqrt(messages) / noise``, whose delta is
    ``Phi(mu / 2 - epsilon / mu) - exp(epsilon) Phi(-mu / 2 - epsilon / mu)``.

    Args:
        messages: number of mechanisms; 0 gives 0.
        noise: standard deviation, above 0.
        delta: in (0, 1).

    Sources: Balle and Wang, Improving the Gaussian Mechanism for Differential Privacy, 2018, Theorem 8; Dong,
    Roth and Su, Gaussian Differential Privacy, 2022, Corollary 3.3, on composition.

    Example:
        >>> round(epsilon_of(1, 8.0, 1e-5), 3), round(epsilon_of(16, 8.0, 1e-5), 3)
        (0.926, 4.377)
    """
    from scipy.optimize import brentq  # not at the top: every report imports this module

    mu = 2.0 * math.sqrt(messages) / noise
    if _delta_of(0.0, mu) <= delta:
        return 0.0
    high = 1.0
    while _delta_of(high, mu) > delta:
        high *= 2.0
        if high > _LARGEST:
            return math.inf
    return float(brentq(lambda epsilon: _delta_of(epsilon, mu) - delta, 0.0, high, xtol=1e-9))


def _delta_of(epsilon: float, mu: float) -> float:
    if mu == 0.0:
        return 0.0
    tail = math.exp(min(0.0, epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))))
    return float(ndtr(mu / 2 - epsilon / mu)) - tail
