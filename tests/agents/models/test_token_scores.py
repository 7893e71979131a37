"""Scores of tokens that a language-model head guesses; `test_language_models` has them by transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.isolated import Isolated
from agents.objectives import MaskedLM
from agents.training.blueprint import Arm


def test_tokens_that_are_masked_for_scores_depend_on_seed_and_text_alone(
    make_host, sentences, tokenizer
):
    def scored(seed, parameters=None):
        host = make_host(2, objectives=(MaskedLM(),))
        host.begin(Arm(Isolated(), 0.0))
        seen = []
        agent = host.agents[1]
        if parameters:
            agent.parameters.add_(parameters)
        agent.encoder.backbone.register_forward_pre_hook(
            lambda _, inputs, named: seen.append(named["input_ids"].clone()), with_kwargs=True
        )
        return agent.token_scores(sentences[:40], seed), seen

    (one, seen), (two, again), (three, _) = scored(0), scored(0, 0.01), scored(1)
    assert all(torch.equal(a, b) for a, b in zip(seen, again, strict=True))
    assert not np.array_equal(one.nll, two.nll)
    np.testing.assert_array_equal(one.count, two.count)
    assert not np.array_equal(one.nll, three.nll)
    words = sum(min(30, len(text.split())) for text in sentences[:40])
    assert abs(one.count.sum() - 0.15 * words) < 5 * np.sqrt(0.15 * 0.85 * words)
    assert sum(int((ids == 4).sum()) for ids in seen) == one.count.sum()
    # Before it has learnt anything, a head finds all tokens about equally likely.
    assert one.nll.sum() / one.count.sum() == pytest.approx(np.log(len(tokenizer)), rel=0.05)
    assert (one.correct <= one.count).all()
    assert one.correct.sum() < 0.1 * one.count.sum()


def test_agent_without_a_language_head_has_no_token_scores(make_host):
    host = make_host(1)
    host.begin(Arm(Isolated(), 0.0))
    assert host.agents[0].token_scores(["wave"], 0) is None
