r"""A mixture of decoders: the next token, by all agents, weighed by how well each knows the prefix.

The weight of agent j at token t is its posterior probability, given the prefix, of having written the text:

\[ w_j(t) \propto \pi_j \prod_{s<t} p_j(x_s | x_{<s}) \]

so the mixture of a whole text is no worse than its best agent by more than \(-\log \pi_j\) nats. The prior
\(\pi\) gives every distinct origin the same share: copies of an agent count once.

Source: Li et al., Branch-Train-Merge, 2022; Gururangan et al., Scaling Expert Language Models with
Unsupervised Domain Discovery, 2023.

Legend: J agents, T tokens of a text, V tokens of the vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Rows
from protocols.errors import ConfigurationError
from protocols.spec import Spec


class Mixture(Spec, ABC):
    """A rule that weighs agents by the log-likelihoods of the prefix."""

    kind: str

    @abstractmethod
    def log_weights(self, log_likelihoods_J: Rows, log_prior_J: Rows) -> Rows:
        """Return logarithms of weights `[J, ...]` that sum to one over the agents.

        Args:
            log_likelihoods_J: `[J, ...]`, of the prefix under each agent, in nats; 0 of an empty prefix.
            log_prior_J: `[J, ...]`, of the weights before anything is read.
        """

    def token_log_probabilities(self, log_probabilities_JT: Rows, log_prior_J: Rows) -> Rows:
        """Return log-probabilities `[T]` of the tokens of a text under the mixture.

        Args:
            log_probabilities_JT: `[J, T]`, of each token after those before it, under each agent.
            log_prior_J: `[J]`, see `log_prior`.
        """
        before_JT = np.zeros_like(log_probabilities_JT)
        before_JT[:, 1:] = np.cumsum(log_probabilities_JT[:, :-1], axis=1)
        weights_JT = self.log_weights(before_JT, log_prior_J[:, None])
        mixed: Rows = np.logaddexp.reduce(weights_JT + log_probabilities_JT, axis=0)
        return mixed


class Posterior(Mixture):
    """Weights by Bayes' rule: the posterior over agents, given the prefix."""

    kind: Literal["posterior"] = "posterior"

    def log_weights(self, log_likelihoods_J: Rows, log_prior_J: Rows) -> Rows:
        """Return log-likelihoods plus log-prior, normalised; see `Mixture.log_weights`."""
        joint_J = log_likelihoods_J + log_prior_J
        weights: Rows = joint_J - np.logaddexp.reduce(joint_J, axis=0)
        return weights


class Uniform(Mixture):
    """Weights of the prior, after any prefix; the control."""

    kind: Literal["uniform"] = "uniform"

    def log_weights(self, log_likelihoods_J: Rows, log_prior_J: Rows) -> Rows:
        """Return the prior; see `Mixture.log_weights`."""
        return np.broadcast_to(log_prior_J, log_likelihoods_J.shape).copy()


MIXTURES: dict[str, type[Mixture]] = {"posterior": Posterior, "uniform": Uniform}


def log_prior(origins: Sequence[str]) -> Rows:
    """Return the logarithms of the prior weights `[J]`: every distinct origin has the same share.

    Args:
        origins: digest of the weights of each agent.

    Example:
        >>> np.exp(log_prior(["aa", "bb", "aa"])).round(2).tolist()
        [0.25, 0.5, 0.25]
    """
    copies = Counter(origins)
    return np.array([-np.log(len(copies) * copies[origin]) for origin in origins])


def check_vocabularies(vocabularies: Sequence[str]) -> None:
    """Check that agents write with one vocabulary.

    Args:
        vocabularies: digest of the vocabulary of each agent.

    Raises:
        ConfigurationError: there is no agent, or two differ.
    """
    found = sorted(set(vocabularies))
    if len(found) != 1:
        raise ConfigurationError(
            "decoders that write together need one vocabulary"
            if found
            else "there is no decoder to write with",
            expected="the same tokenizer for every agent",
            actual=", ".join(each[:12] for each in found) or "no agent",
            hint="choose agents of one run, or of runs whose data.tokenizer is the same",
        )


def mixed(rows_JV: Rows, log_weights_J: Rows) -> Rows:
    """Return the distribution of the mixture `[V]`.

    Args:
        rows_JV: the next token's distribution under each agent.
        log_weights_J: see `Mixture.log_weights`.
    """
    row_V: Rows = np.exp(log_weights_J) @ rows_JV
    shares: Rows = row_V / row_V.sum()
    return shares


def perplexity(log_probabilities: Sequence[NDArray[np.float64]]) -> float:
    """Return the exponential of the mean negative log-probability over all tokens of all texts.

    Raises:
        ConfigurationError: there are no tokens.
    """
    joined = np.concatenate([np.zeros(0), *log_probabilities])
    if not len(joined):
        raise ConfigurationError(
            "perplexity needs tokens to predict",
            expected="at least one token",
            actual=0,
            hint="give longer texts, or more of them",
        )
    return float(np.exp(-joined.mean()))
