"""Gains of an arm over another, agent by agent."""

from __future__ import annotations

import pytest

from agentos.evaluation.base import Metric
from agentos.records.views.outcome import Quality, gain

LOSS = Metric(name="loss", higher_is_better=False, help="A loss.")


def quality(*losses: float) -> Quality:
    return Quality(agents={f"agent-{i}": {"loss": loss} for i, loss in enumerate(losses)})


def test_gain_counts_the_agents_that_gained_of_those_that_have_both() -> None:
    found = gain(quality(0.5, 1.0, 1.25, 0.0), quality(1.0, 1.0, 1.0), LOSS)
    assert found is not None
    assert (found.mean, found.gained, found.agents) == (pytest.approx(0.25 / 3), 1, 3)
    assert gain(quality(0.5), quality(), LOSS) is None
