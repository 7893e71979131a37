"""Numbers for agents and edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.rounds.clock.config import Asynchronous, ClockConfig
from agentos.rounds.clock.distributions import Fixed, LogNormal, Uniform

AGENTS = [(agent,) for agent in range(400)]
EDGES = [(0, 1), (1, 0), (1, 2), (2, 1)]


@pytest.mark.parametrize(
    "given", [3, 3.0, "3e0", {"fixed": {"value": 3}}, {"kind": "fixed", "value": 3}]
)
def test_number_alone_is_short_for_fixed(given: Any) -> None:
    config = ClockConfig.model_validate({"speed": given})
    assert config.speed == Fixed(value=3.0)
    assert config.speed.values(EDGES, 0, "speed") == dict.fromkeys(EDGES, 3.0)
    assert ClockConfig.model_validate(config.model_dump(serialize_as_any=True)) == config


def test_mode_by_name_has_its_defaults() -> None:
    assert ClockConfig.model_validate({"mode": "asynchronous"}).mode == Asynchronous()


def test_uniform_draws_lie_between_its_ends() -> None:
    drawn = np.array([*Uniform(low=2.0, high=6.0).values(AGENTS, 0, "speed").values()])
    assert 2.0 <= drawn.min() < 2.2
    assert 5.8 < drawn.max() <= 6.0
    assert drawn.mean() == pytest.approx(4.0, abs=0.2)


def test_log_normal_draws_have_its_median_and_sigma() -> None:
    drawn = np.log([*LogNormal(median=7.0, sigma=0.5).values(AGENTS, 0, "speed").values()])
    # Standard errors of 400 draws: 1.25 * 0.5 / 20 of the median, 0.5 / sqrt(800) of sigma.
    assert np.median(drawn) == pytest.approx(math.log(7.0), abs=4 * 0.031)
    assert np.std(drawn) == pytest.approx(0.5, abs=4 * 0.018)


def test_draws_depend_on_seed_name_and_key_alone() -> None:
    draw = Uniform(low=0.0, high=1.0)
    all_edges, some = draw.values(EDGES, 3, "latency_s"), draw.values(EDGES[2:], 3, "latency_s")
    assert {edge: all_edges[edge] for edge in EDGES[2:]} == some
    others = [draw.values(EDGES, 4, "latency_s"), draw.values(EDGES, 3, "bytes_per_s")]
    assert all(other[edge] != all_edges[edge] for other in others for edge in EDGES)


def test_both_directions_of_an_edge_are_drawn_alike() -> None:
    drawn = LogNormal(median=1.0).values(EDGES, 0, "latency_s")
    assert drawn[0, 1] == drawn[1, 0] != drawn[1, 2]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"speed": 0}, "speed can be 0"),
        ({"bytes_per_s": {"uniform": {"low": 0, "high": 9}}}, "bytes_per_s can be 0"),
        ({"speed": {"uniform": {"low": 3, "high": 2}}}, "low 3.0 is above high 2.0"),
        ({"speed": -1}, "greater than or equal to 0"),
        ({"speed": True}, "instance of Quantity"),
    ],
)
def test_clock_that_stands_still_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ClockConfig.model_validate(values)
