"""What a run will cost at most, before it is run: tokens and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from agentos.config import RunConfig
from agents.config import EncoderConfig
from agents.exchange.base import Exchange, Heads, Turn
from agents.objectives.contrastive import Contrastive

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """Most that a run may cost: texts are taken to be as long as they may be.

    Attributes:
        tokens: through encoders, those of anchors without a gradient included.
        payload_bytes: of all deliveries as float32, headers not counted; None where it is not known before.
    """

    tokens: int
    payload_bytes: int | None


def estimate(config: RunConfig) -> Estimate:
    """Estimate what a run costs, from its configuration alone."""
    training, agents = config.training, config.agents.total
    texts = training.steps * training.accumulate * training.batch_size
    views = sum(2 if isinstance(objective, Contrastive) else 1 for objective in config.objectives)
    rounds = training.rounds
    due = [round for round in range(1, rounds + 1) if config.exchange.is_due(round, rounds)]
    crops = int(getattr(config.exchange, "crops", 0))
    tokens = agents * (texts * views + len(due) * crops * config.data.anchors)
    return Estimate(tokens * training.max_length, _bytes(config, due))


def _bytes(config: RunConfig, due: Sequence[int]) -> int | None:
    if not due:
        return 0
    faces = _faces(config)
    network = config.network()
    total = 0
    for round in due:
        for hop in network.hops(round):
            turn = Turn(round, hop.index, hop.direction)
            for _, receiver in hop.edges:
                size = _size(config.exchange, faces[receiver], turn)
                if size is None:
                    return None
                total += size
    return total


def _size(exchange: Exchange, face: _Face, turn: Turn) -> int | None:
    """Return the bytes of what an agent expects; None where that is not known before it is built."""
    try:
        shapes = exchange.expects(face, turn).shapes.values()  # type: ignore[arg-type]
    except AttributeError:  # it asks for more than a face has
        return None
    if any(length is None for shape in shapes for length in shape):
        return None
    return _FLOAT_BYTES * sum(prod(length or 0 for length in shape) for shape in shapes)


@dataclass(frozen=True)
class _Face:
    """What strategies ask of a learner to say what they expect."""

    id: int
    anchor_count: int
    encoder: Any
    parameters: range
    layout: str = ""
    seed: int = 0
    examples: int = 1
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def anchor_clusters(self) -> Any:
        return np.zeros(self.anchor_count, dtype=np.int64)


def _faces(config: RunConfig) -> list[_Face]:
    from agents.loading import width_of

    encoders = [group.encoder for group in config.agents.resolved for _ in range(group.count)]
    widths = frozenset(width_of(encoder) for encoder in encoders)
    heads = config.exchange.heads(widths)
    vocabulary = config.data.tokenizer.vocabulary_size
    return [
        _Face(agent, config.data.anchors, *_encoder(encoder, heads, vocabulary))
        for agent, encoder in enumerate(encoders)
    ]


@cache
def _encoder(encoder: EncoderConfig, heads: Heads, vocabulary: int) -> tuple[Any, range]:
    """Return an encoder's widths, and a range as long as its parameters; nothing is allocated."""
    import torch

    from agents.building import blank_backbone
    from agents.encoder import Encoder
    from agents.parameters import layout_of

    backbone = blank_backbone(encoder, vocabulary)
    with torch.device("meta"):
        module = Encoder(
            backbone, "mean", encoder.projection, heads.exchange_dimension, heads.classes
        )
    face = SimpleNamespace(width=module.width, exchange_head=module.exchange_head)
    return face, range(layout_of(module).size)
