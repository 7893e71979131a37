"""The study of decoders: its domains, its rows and its table, on made-up log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.tasks.decoders import (
    DOMAINS,
    DROPPED,
    LENGTH,
    ORACLE,
    READ,
    SINGLE,
    domain_of,
    perplexities,
    table,
)

RNG = np.random.default_rng(0)
ORIGINS = ["a", "b", "c", "d"]


def specialists():
    """Each decoder gives the tokens of its own domain 1/4, and those of others 1/64."""
    logs, domains = [], []
    for agent, domain in enumerate(DOMAINS):
        for _ in range(3):
            each = np.full((4, LENGTH), np.log(1 / 64))
            each[agent] = np.log(1 / 4)
            logs.append(each)
            domains.append(domain)
    return logs, domains


def test_newsgroups_belong_to_the_domain_that_begins_their_name():
    assert domain_of("comp.windows.x") == "computers"
    assert domain_of("soc.religion.christian") == domain_of("alt.atheism") == "society"
    assert domain_of("misc.forsale") is None


def test_perplexities_of_specialists_are_those_that_are_derived():
    found = perplexities(*specialists(), ORIGINS)
    assert found[SINGLE] == pytest.approx(4 ** (1 / 4) * 64 ** (3 / 4))
    assert found[ORACLE] == pytest.approx(4)
    assert found["uniform mixture"] == pytest.approx(1 / ((1 / 4 + 3 / 64) / 4))
    # The whole text under the mixture is a quarter of each decoder's product.
    whole = (4.0**-LENGTH + 3 * 64.0**-LENGTH) / 4
    assert found["posterior mixture"] == pytest.approx(whole ** (-1 / LENGTH))
    first = (4.0**-READ + 3 * 64.0**-READ) / 4
    assert found[DROPPED] == pytest.approx((first * 4.0 ** (READ - LENGTH)) ** (-1 / LENGTH))


def test_table_tells_gains_and_the_flops_of_all_decoders():
    found = {SINGLE: 100.0, "posterior mixture": 80.0, DROPPED: 90.0, ORACLE: 70.0}
    lines = table([found, found], flops=1e6).splitlines()
    assert lines[2].endswith("|  | 1e+06 |")
    assert "20.0 ± 0.0 %" in lines[3]
    assert lines[3].endswith("4e+06 |")
    assert lines[4].endswith("1.5e+06 |")  # 8 of 48 tokens by four, the rest by one
