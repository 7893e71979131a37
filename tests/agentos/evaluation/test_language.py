from __future__ import annotations

import math

import numpy as np
import pytest

from agentos.evaluation import HeldOut, MaskedAccuracy, Perplexity
from agents.models.text_encoder import TokenScores
from protocols.errors import ConfigurationError

TEXTS = HeldOut(tuple(f"text number {i}" for i in range(40)))


class Model:
    """An encoder that gives every token the same probability and records its calls."""

    def __init__(self, kind, probability, count=3):
        self.kind, self.probability, self.tokens = kind, probability, count
        self.asked = []

    def embed(self, texts):
        raise AssertionError("not needed")

    def token_scores(self, texts, seed):
        self.asked.append((tuple(texts), seed))
        count = np.full(len(texts), self.tokens)
        nll = -math.log(self.probability) * count.astype(float)
        return TokenScores(self.kind, nll, (count > 0).astype(np.int64), count)


def test_perplexity_of_a_uniform_model_is_its_vocabulary():
    found = Perplexity().evaluate(Model("causal", 1 / 64), TEXTS, seed=0)
    assert found == pytest.approx({"perplexity": 64.0, "bits_per_token": 6.0})


def test_perplexity_weighs_tokens_alike_whatever_text_they_stand_in():
    class Uneven(Model):
        def token_scores(self, texts, seed):
            count = np.array([1, 9])
            nll = np.array([8.0, 2.0])
            return TokenScores("causal", nll, count * 0, count)

    found = Perplexity().evaluate(Uneven("causal", 1.0), TEXTS, seed=0)
    assert found["perplexity"] == pytest.approx(math.exp(10 / 10))


def test_masked_accuracy_is_the_share_of_right_guesses():
    found = MaskedAccuracy().evaluate(Model("masked", 0.25), TEXTS, seed=0)
    assert found == pytest.approx({"masked_accuracy": 1 / 3, "pseudo_perplexity": 4.0})


@pytest.mark.parametrize(
    ("task", "kind"), [(Perplexity(documents=7), "causal"), (MaskedAccuracy(documents=7), "masked")]
)
def test_every_subject_is_asked_the_same_and_another_seed_asks_otherwise(task, kind):
    model = Model(kind, 0.5)
    for seed in (0, 0, 1):
        task.evaluate(model, TEXTS, seed)
    first, second, third = model.asked
    assert first == second
    assert first[0] != third[0]
    assert first[1] != third[1]
    assert len(first[0]) == 7


def test_texts_without_a_token_to_guess_are_refused():
    with pytest.raises(ConfigurationError, match="tokens to predict"):
        Perplexity().evaluate(Model("causal", 0.5, count=0), TEXTS, seed=0)
