"""The estimate of a run's cost, against what the run itself counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentos import RunConfig
from agentos.sweep.estimate import estimate


@pytest.mark.parametrize(("rounds", "every", "due"), [(1, 1, 0), (2, 1, 1), (5, 2, 2), (4, 2, 1)])
def test_tokens_and_bytes_are_those_of_training_and_of_due_exchanges(
    small: Callable[..., RunConfig], rounds: int, every: int, due: int
) -> None:
    """After the last round, texts about anchors are no longer exchanged."""
    exchange = {"kind": "anchor_contrast", "every": every, "crops": 3}
    config = small(exchange=exchange, training={"rounds": rounds})
    found, agents = estimate(config), config.agents.total
    alone = estimate(small(exchange="isolated", training={"rounds": rounds}))
    assert alone.payload_bytes == 0
    assert alone.tokens == agents * rounds * config.round_tokens
    crops = due * 3 * config.data.anchors * config.training.max_length
    assert found.tokens == alone.tokens + agents * crops
    once = estimate(small(exchange={**exchange, "every": 1}, training={"rounds": 2}))
    assert found.payload_bytes == due * once.payload_bytes
    assert once.payload_bytes > 0
