"""Summaries against a plain greedy loop, and that several agents judge by the mean of their cosines."""

from __future__ import annotations

import numpy as np
import pytest

from agents.answering.ranking import summarise
from protocols.errors import ConfigurationError

RNG = np.random.default_rng(0)


def cosine(u, v):
    return float(u @ v / np.sqrt((u @ u) * (v @ v)))


def slow_summary(agents, count, relevance):
    """Choose one by one, by the mean over agents of each cosine; the mean sentence is of joint units."""
    sentences = len(agents[0])
    joint = [
        np.concatenate([each[s] / np.linalg.norm(each[s]) for each in agents])
        for s in range(sentences)
    ]
    centre = sum(joint) / sentences
    chosen: list[int] = []
    while len(chosen) < min(count, sentences):
        left = [s for s in range(sentences) if s not in chosen]
        gain = {
            s: relevance * cosine(joint[s], centre)
            - (1 - relevance)
            * max([np.mean([cosine(e[s], e[t]) for e in agents]) for t in chosen], default=0.0)
            for s in left
        }
        chosen.append(max(left, key=gain.__getitem__))
    return sorted(chosen)


@pytest.mark.parametrize("relevance", [0.0, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("widths", [(6,), (6, 3), (4, 9, 5)])
def test_summary_is_that_of_the_plain_loop(widths, relevance):
    agents = [RNG.standard_normal((9, width)) + 0.5 for width in widths]
    for count in (1, 4, 20):
        found = summarise(agents, count, relevance).tolist()
        assert found == slow_summary(agents, count, relevance)


def test_a_repeated_sentence_is_said_once():
    rows = np.array([[1.0, 0.1], [1.0, 0.1], [1.0, 0.1], [0.1, 1.0]])
    assert summarise([rows], 2, relevance=0.5).tolist() == [0, 3]
    assert summarise([rows], 2, relevance=1.0).tolist() == [0, 1]


def test_order_of_agents_changes_nothing():
    agents = [RNG.standard_normal((9, width)) for width in (4, 8)]
    assert np.array_equal(summarise(agents, 4), summarise(agents[::-1], 4))


def test_texts_that_disagree_are_refused():
    with pytest.raises(ConfigurationError, match="nothing to summarise"):
        summarise([np.ones((3, 2)), np.ones((2, 2))], 1)
    with pytest.raises(ConfigurationError, match="nothing to summarise"):
        summarise([np.ones((3, 2))], 0)
