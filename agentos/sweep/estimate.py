"""Upper bounds of the cost of a run, before it runs: tokens and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from agentos.config.run import RunConfig
from agentos.preflight.dry_run import check_protocol
from agents.objectives.contrastive import Contrastive


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
    """Estimate what a run costs, from its configuration alone."""
    training, agents = config.training, config.agents.total
    texts = training.steps * training.accumulate * training.batch_size
    views = sum(2 if isinstance(objective, Contrastive) else 1 for objective in config.objectives)
    rounds = training.rounds
    due = [round for round in range(1, rounds + 1) if config.exchange.is_due(round, rounds)]
    crops = int(getattr(config.exchange, "crops", 0))
    tokens = agents * (texts * views + len(due) * crops * config.data.anchors)
    payload_bytes = check_protocol(config.protocol()).ledger.total() if due else 0
    return Estimate(tokens * training.max_length, payload_bytes)
