"""Texts written together against Markov chains whose distributions are known."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from agents.answering.writing.continuation import Continuation, most_probable, widened, write
from protocols.errors import ConfigurationError
from protocols.messages import NextTokens

SIZE, END = 6, 5
PROMPT = np.array([0, 2, 1])


class Chain:
    """A decoder whose next token depends on the last one alone."""

    end_token = END

    def __init__(self, seed: int, origin: str, vocabulary: str = "ab" * 16) -> None:
        self.rows = np.random.default_rng(seed).dirichlet(np.full(SIZE, 0.5), SIZE)
        self.origin, self.vocabulary = origin, vocabulary

    def begin(self, ids):
        return self.rows[ids[-1]]

    def advance(self, token):
        return self.rows[token]


CHAINS = [Chain(1, "a" * 16), Chain(2, "b" * 16), Chain(3, "c" * 16)]


def slow_next(prefix):
    """The mixture's next distribution by Bayes' rule over whole prefixes."""
    likelihoods = [np.prod([c.rows[x, y] for x, y in itertools.pairwise(prefix)]) for c in CHAINS]
    joint = sum(w * c.rows[prefix[-1]] for w, c in zip(likelihoods, CHAINS, strict=True))
    return joint / sum(likelihoods)


def test_most_probable_text_is_that_of_bayes_rule():
    prefix = PROMPT.tolist()
    while len(prefix) < 15 and (token := int(slow_next(prefix).argmax())) != END:
        prefix.append(token)
    found = write(CHAINS, PROMPT, Continuation(temperature=0.0, max_new_tokens=12))
    assert found.tolist() == prefix[3:]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_drawn_tokens_follow_the_mixture(temperature):
    how = Continuation(max_new_tokens=1, temperature=temperature)
    drawn = Counter(
        found[0] if len(found := write(CHAINS, PROMPT, how, text=n)) else END for n in range(3000)
    )
    expected = slow_next(PROMPT.tolist()) ** (1 / temperature)
    shares = np.array([drawn[token] for token in range(SIZE)]) / 3000
    # Four standard errors of a share of 3,000 draws.
    assert np.abs(shares - expected / expected.sum()).max() < 4 * 0.5 / np.sqrt(3000)


def test_texts_repeat_with_their_seed_and_in_any_order_of_agents():
    how = Continuation(max_new_tokens=30)
    texts = [write(CHAINS, PROMPT, how, text=n, seed=3).tolist() for n in range(10)]
    assert texts == [write(CHAINS[::-1], PROMPT, how, text=n, seed=3).tolist() for n in range(10)]
    assert texts != [write(CHAINS, PROMPT, how, text=n, seed=4).tolist() for n in range(10)]
    assert len({tuple(text) for text in texts}) > 1


def test_one_decoder_and_its_copies_write_the_same_text():
    how = Continuation(temperature=0.0, max_new_tokens=12)
    alone = write(CHAINS[:1], PROMPT, how)
    assert np.array_equal(write([CHAINS[0]] * 3, PROMPT, how), alone)


def test_sending_all_tokens_by_number_changes_nothing_and_fewer_name_only_the_most_probable():
    whole = write(CHAINS, PROMPT, Continuation(temperature=0.0))
    assert np.array_equal(write(CHAINS, PROMPT, Continuation(temperature=0.0, sent=SIZE)), whole)
    row = np.array([0.1, 0.4, 0.05, 0.4, 0.05])
    tokens, named = most_probable(row, 3)
    assert tokens.tolist() == [1, 3, 0]
    assert named.tolist() == [0.4, 0.4, 0.1]


def test_a_message_widens_to_a_distribution_that_shares_the_rest_evenly():
    sent = NextTokens(
        task="write",
        attempt=0,
        origins=("a" * 16,),
        vocabulary="ab" * 16,
        size=5,
        step=0,
        ids=np.array([4]),
        tokens=np.array([[3, 0]], np.int32),
        probabilities=np.array([[0.5, 0.2]], np.float32),
        flops=0.0,
        seconds=0.0,
    )
    assert widened(sent)[0] == pytest.approx([0.2, 0.1, 0.1, 0.5, 0.1], abs=1e-7)


def test_decoders_of_unlike_vocabularies_are_refused():
    with pytest.raises(ConfigurationError, match="one vocabulary"):
        write([CHAINS[0], Chain(2, "b" * 16, "cd" * 16)], PROMPT, Continuation())
