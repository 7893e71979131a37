"""Poisoned senders beyond what a fusion promises to withstand are refused."""

from __future__ import annotations

import pytest

from agents.exchange.parameters.breakdown import check_breakdown
from agents.exchange.parameters.robust_fusion import Krum, Mean, Median, TrimmedMean
from protocols.topologies import TOPOLOGIES


def network(kind, agents=6, **fields):
    return TOPOLOGIES[kind].model_validate(fields).build(agents, 0)


@pytest.mark.parametrize(
    ("fusion", "agents", "most"),
    [
        (Median(), 6, 2),
        (Median(), 7, 3),
        (TrimmedMean(share=0.2), 10, 2),
        (TrimmedMean(share=0.2), 9, 1),
        (Krum(byzantine=1), 9, 1),
        (Krum(byzantine=3), 9, 3),
    ],
)
def test_as_many_as_the_fusion_tolerates_pass_and_one_more_is_refused(fusion, agents, most):
    complete = network("complete", agents)
    check_breakdown(fusion, complete, range(most))
    with pytest.raises(ValueError, match=rf"{most + 1} come from byzantine agents") as error:
        check_breakdown(fusion, complete, range(most + 1))
    assert f"tolerates {most} poisoned" in str(error.value)


def test_mean_promises_nothing_so_nothing_is_refused():
    check_breakdown(Mean(), network("complete"), range(6))


def test_it_is_the_neighbourhood_that_counts():
    ring = network("ring", 7)  # three vectors each
    check_breakdown(Median(), ring, [0, 3])
    with pytest.raises(ValueError, match="agent-1 fuses"):
        check_breakdown(Median(), ring, [0, 2])


def test_result_from_a_poisoned_master_is_refused_as_nothing_fuses_it():
    star = network("master_slave", 6)
    master = star.hops(1)[-1].edges[0][0]
    check_breakdown(Median(), star, [agent for agent in range(6) if agent != master][:2])
    with pytest.raises(ValueError, match="without a fusion"):
        check_breakdown(Median(), star, [master])
