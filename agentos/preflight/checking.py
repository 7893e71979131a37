"""From a configuration to a walk through its protocol; nothing is read, trained or sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentos.config.field_errors import Problem
from agentos.config.run import RunConfig
from agentos.preflight.dry_run import DryRun, walk

if TYPE_CHECKING:
    from agents.exchange.base import Learner
    from agents.models.encoder import Encoder

ASSUMED_DOCUMENTS = 1000
"""Private documents of an agent, as long as nobody has read the text: their digits are in some headers."""


def check_protocol(config: RunConfig) -> DryRun:
    """Walk through the protocol of a run: see `agentos.preflight.dry_run`.

    Raises:
        ModelError: an encoder cannot be loaded.
    """
    found = walk(config.exchange, config.network(), _learners(config), config.training.rounds)
    rounds, every = config.training.rounds, config.exchange.every
    if config.exchange.kind != "isolated" and not found.rounds:
        found.blame(
            Problem(
                "exchange.every",
                "the agents never exchange anything: raise training.rounds or lower exchange.every",
                str(every),
                f"less than training.rounds, which is {rounds}",
            )
        )
    return found


def _learners(config: RunConfig) -> dict[int, Learner]:
    """Return every agent as it is known before the run; like agents share an encoder."""
    from agents.exchange.shape_learner import ShapeLearner, outline
    from agents.models.pretrained import width_of

    society = config.society().encoders
    heads = config.exchange.heads(frozenset(width_of(encoder) for encoder in set(society)))
    size = config.data.tokenizer.vocabulary_size
    encoders: dict[str, Encoder] = {}
    for encoder in society:
        key = encoder.model_dump_json()
        if key not in encoders:
            encoders[key] = outline(encoder, config.objectives, heads, size)
    batch = config.training.batch_size
    return {
        agent: ShapeLearner(
            agent,
            encoders[encoder.model_dump_json()],
            config.data.anchors,
            ASSUMED_DOCUMENTS,
            private_batch_size=batch - round(config.exchange.anchor_fraction * batch),
        )
        for agent, encoder in enumerate(society)
    }
