"""Upper bounds of the cost of a run, before it runs: tokens and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from agentos.config.run import RunConfig
from agentos.preflight.dry_run import check_protocol


@dataclass(frozen=True)
class Estimate:
    """The most that a run may cost, with texts and vocabularies as large as they may be.

    Attributes:
        tokens: tokens through encoders, including those of anchors without a gradient.
        payload_bytes: bytes of all deliveries; see `agentos.preflight.dry_run`.
    """

    tokens: int
    payload_bytes: int


def estimate(config: RunConfig) -> Estimate:
    """Estimate the cost of a run from only its configuration."""
    training, agents = config.training, config.agents.total
    rounds = training.rounds
    due = [round for round in range(1, rounds + 1) if config.exchange.is_due(round, rounds)]
    crops = int(getattr(config.exchange, "crops", 0))
    trained = rounds * config.round_tokens
    tokens = agents * (trained + len(due) * crops * config.data.anchors * training.max_length)
    payload_bytes = check_protocol(config.protocol()).ledger.total() if due else 0
    return Estimate(tokens, payload_bytes)
