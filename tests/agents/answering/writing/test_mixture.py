"""Mixtures of decoders against Bayes' rule over whole texts, and against enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from agents.answering.writing.mixture import (
    MIXTURES,
    Posterior,
    Uniform,
    check_vocabularies,
    log_prior,
    mixed,
    perplexity,
)
from protocols.errors import ConfigurationError

RNG = np.random.default_rng(0)
LOGS_JT = np.log(RNG.uniform(1e-4, 1.0, (4, 30)))
PRIOR_J = np.log(np.array([0.1, 0.2, 0.3, 0.4]))


def test_posterior_mixture_of_a_text_is_the_average_of_its_likelihoods():
    """Chain rule: the products of mixed conditionals are the mixture of the products."""
    found = Posterior().token_log_probabilities(LOGS_JT, PRIOR_J)
    for end in range(1, 31):
        slow = sum(
            math.exp(prior + sum(row[:end])) for prior, row in zip(PRIOR_J, LOGS_JT, strict=True)
        )
        assert found[:end].sum() == pytest.approx(math.log(slow))


def test_posterior_weights_are_those_of_bayes_rule_token_by_token():
    found = Posterior().token_log_probabilities(LOGS_JT, PRIOR_J)
    weights = np.exp(PRIOR_J)
    for place, likelihoods in enumerate(np.exp(LOGS_JT).T):
        assert found[place] == pytest.approx(math.log(weights @ likelihoods))
        weights = weights * likelihoods / (weights @ likelihoods)


def test_posterior_mixture_is_at_most_the_prior_worse_than_its_best_agent():
    lost = LOGS_JT.sum(axis=1).max() - Posterior().token_log_probabilities(LOGS_JT, PRIOR_J).sum()
    assert lost <= -PRIOR_J.min()


def test_uniform_mixture_is_the_weighted_mean_of_each_token():
    found = Uniform().token_log_probabilities(LOGS_JT, PRIOR_J)
    assert found == pytest.approx(np.log(np.exp(PRIOR_J) @ np.exp(LOGS_JT)))


@pytest.mark.parametrize("kind", MIXTURES)
def test_mixture_is_a_distribution_over_texts(kind: str):
    """Two agents with Markov chains over two tokens: the probabilities of all texts sum to one."""
    chains = RNG.dirichlet(
        np.ones(2), (2, 3)
    )  # [agent, token before or 2 at the start, next token]
    total = 0.0
    for text in itertools.product(range(2), repeat=5):
        logs = np.array(
            [[math.log(c[p, n]) for p, n in itertools.pairwise((2, *text))] for c in chains]
        )
        mixture = MIXTURES[kind]()
        total += math.exp(mixture.token_log_probabilities(logs, np.log([0.5, 0.5])).sum())
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("kind", MIXTURES)
def test_order_of_agents_changes_nothing(kind: str):
    order, mixture = [2, 0, 3, 1], MIXTURES[kind]()
    found = mixture.token_log_probabilities(LOGS_JT[order], PRIOR_J[order])
    assert found == pytest.approx(mixture.token_log_probabilities(LOGS_JT, PRIOR_J))


@pytest.mark.parametrize("kind", MIXTURES)
def test_copies_of_an_agent_count_once(kind: str):
    once = MIXTURES[kind]().token_log_probabilities(LOGS_JT[:2], log_prior(["a", "b"]))
    rows = [0, 1, 1, 1]
    thrice = MIXTURES[kind]().token_log_probabilities(
        LOGS_JT[rows], log_prior(["a", "b", "b", "b"])
    )
    assert thrice == pytest.approx(once)


def test_row_of_the_mixture_is_the_weighted_mean_of_rows():
    rows = RNG.dirichlet(np.ones(7), 4)
    assert mixed(rows, PRIOR_J) == pytest.approx(
        sum(math.exp(w) * r for w, r in zip(PRIOR_J, rows, strict=True))
    )


def test_perplexity_is_over_all_tokens_of_all_texts():
    logs = [np.log([0.5, 0.25]), np.log([0.125])]
    assert perplexity(logs) == pytest.approx((2 * 4 * 8) ** (1 / 3))
    with pytest.raises(ConfigurationError, match="tokens to predict"):
        perplexity([])


def test_unlike_vocabularies_are_refused():
    check_vocabularies(["a" * 32] * 3)
    with pytest.raises(ConfigurationError, match="one vocabulary") as caught:
        check_vocabularies(["a" * 32, "b" * 32])
    assert "tokenizer" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="no decoder"):
        check_vocabularies([])
