from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentos.learning.labelling import Committee, Own
from agents.answering import Answers
from protocols.errors import ConfigurationError


def answer(rows: list[list[float]], origin: str) -> Answers:
    no = np.zeros(len(rows), bool)
    return Answers("query", np.arange(len(rows)), np.array(rows), no, no, (origin,))


RIGHT = [answer([[0.8, 0.2], [0.6, 0.4]], "a"), answer([[0.7, 0.3], [0.5, 0.5]], "b")]
LIAR = answer([[0.1, 0.9], [0.0, 1.0]], "liar")


def test_opinion_is_the_mean_of_distinct_origins() -> None:
    expected = np.mean([each.probabilities for each in (*RIGHT, LIAR)], axis=0)
    np.testing.assert_allclose(Committee().opinion([*RIGHT, LIAR]), expected)


def test_a_liar_that_is_copied_counts_once() -> None:
    once = Committee().opinion([*RIGHT, LIAR])
    np.testing.assert_allclose(Committee().opinion([*RIGHT, LIAR, LIAR, LIAR]), once)
    assert once[0].argmax() == 0


def test_an_agent_that_abstains_has_no_vote() -> None:
    quiet = replace(LIAR, abstains=np.array([True, False]))
    found = Committee().opinion([*RIGHT, quiet])
    np.testing.assert_allclose(found[0], [0.75, 0.25])
    np.testing.assert_allclose(found[1], [1.1 / 3, 1.9 / 3])


def test_own_is_the_opinion_of_one_agent() -> None:
    np.testing.assert_allclose(Own(agent=1).opinion(RIGHT), RIGHT[1].probabilities)
    with pytest.raises(ConfigurationError, match="did not answer"):
        Own(agent=2).opinion(RIGHT)
