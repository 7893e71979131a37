"""The comparison of low-communication training with EXO Gym's."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.low_communication import METHODS, Outcome, configuration, row


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_the_same_steps_on_the_same_batches(name: str) -> None:
    config = configuration(METHODS[name], agents=4, steps=160, seed=1)
    plain = configuration(METHODS["isolated"], agents=4, steps=160, seed=1)
    assert config.training.rounds * config.training.local_steps == 160
    assert config.data == plain.data
    assert config.training.batch_size == plain.training.batch_size
    assert config.exchange.anchor_fraction == 0


def test_row_holds_the_last_quarter_and_the_range_over_seeds() -> None:
    outcomes = [
        Outcome(np.array([9.0, 9.0, 9.0, end]), heldout=3.0, apart=0.5, megabytes=1.25, cpu_s=end)
        for end in (2.0, 4.0)
    ]
    cells = [cell.strip() for cell in row("sparta", "AgentOS", outcomes, "0.1").split("|")[1:-1]]
    assert cells == [
        "sparta",
        "AgentOS",
        "3.000 (2.000-4.000)",
        "0.1",
        "3.000 (3.000-3.000)",
        "0.5000 (0.5000-0.5000)",
        "1.25",
        "3.0 (2.0-4.0)",
    ]
