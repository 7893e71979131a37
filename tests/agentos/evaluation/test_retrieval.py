from __future__ import annotations

import math

import numpy as np
import pytest

from agentos.evaluation import HeldOut, Retrieval
from agentos.evaluation.retrieval import ranks_of_match, summaries_and_bodies
from agents.subject import EmbeddingOnly
from protocols.errors import ConfigurationError

N = 40
TEXTS = tuple(f"The summary number {i}.\n\nA body of some words about {i}." for i in range(N))


def slow_scores(queries, bodies):
    """MRR and Recall@10 by sorting each list in plain Python, ties counted against the encoder."""

    def cosine(u, v):
        return sum(map(lambda a, b: a * b, u, v)) / (math.hypot(*u) * math.hypot(*v))

    reciprocal, found = 0.0, 0
    for i, query in enumerate(queries.tolist()):
        scores = [(cosine(query, body), j == i) for j, body in enumerate(bodies.tolist())]
        scores.sort(key=lambda pair: (-round(pair[0], 9), pair[1]))
        rank = [right for _, right in scores].index(True) + 1
        reciprocal += 1 / rank
        found += rank <= 10
    return reciprocal / len(queries), found / len(queries)


def noisy_embed(noise):
    """Embed document i, whichever of its parts is given, near the i-th of N random directions."""
    directions = np.random.default_rng(0).normal(size=(N, 8))

    def embed(texts):
        rows = []
        for text in texts:
            number = int(text.rstrip(".").split()[-1])
            own = np.random.default_rng([number, len(text)]).normal(size=8)
            rows.append(directions[number] + noise * own)
        return np.array(rows, dtype=np.float32)

    return embed


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_scores_equal_a_slow_reference(noise):
    embed = noisy_embed(noise)
    pairs = summaries_and_bodies(TEXTS)
    mrr, recall = slow_scores(embed([q for q, _ in pairs]), embed([b for _, b in pairs]))
    scores = Retrieval().evaluate(EmbeddingOnly(embed), HeldOut(TEXTS), seed=0)
    assert scores == pytest.approx({"mrr": mrr, "recall_at_10": recall})
    assert 0 < scores["mrr"] < 1


def test_a_perfect_encoder_scores_one():
    scores = Retrieval().evaluate(EmbeddingOnly(noisy_embed(0.0)), HeldOut(TEXTS), seed=0)
    assert scores == {"mrr": 1.0, "recall_at_10": 1.0}


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_collapsed_encoder_scores_as_if_every_right_body_came_last(noise):
    directions = noisy_embed(1.0)

    def embed(texts):
        return np.ones((len(texts), 8), np.float32) + np.float32(noise) * directions(texts)

    scores = Retrieval().evaluate(EmbeddingOnly(embed), HeldOut(TEXTS), seed=0)
    assert scores == pytest.approx({"mrr": 1 / N, "recall_at_10": 0.0})


def test_a_narrow_cone_is_still_ranked():
    directions = noisy_embed(0.0)

    def embed(texts):
        return np.float32(1e-3) * directions(texts) + 1

    assert Retrieval().evaluate(EmbeddingOnly(embed), HeldOut(TEXTS), seed=0)["mrr"] == 1.0


def test_ranks_count_ties_against_the_encoder():
    bodies = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert ranks_of_match(bodies, bodies).tolist() == [2, 2, 1]


def test_queries_caps_the_texts_that_are_embedded():
    seen = set()

    def embed(texts):
        seen.update(texts)
        return noisy_embed(1.0)(texts)

    Retrieval(queries=12).evaluate(EmbeddingOnly(embed), HeldOut(TEXTS), seed=0)
    assert len(seen) == 24


def test_another_seed_draws_other_documents():
    def drawn(seed):
        seen = set()
        embed = noisy_embed(1.0)
        Retrieval(queries=12).evaluate(
            EmbeddingOnly(lambda t: (seen.update(t), embed(t))[1]), HeldOut(TEXTS), seed
        )
        return seen

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Only one line of text here.",
        "Two words.\nA body that is quite long enough.",
        "A summary of words.\n\n   \n",
        "A summary of words.\nFour words of body.",
    ],
)
def test_documents_without_both_parts_are_left_out(text):
    assert summaries_and_bodies([text]) == []


def test_repeated_summaries_and_bodies_are_left_out():
    body = "the same body, word for word"
    texts = [
        f"Add two numbers.\n{body}",
        "Add two numbers.\nanother body of enough words",
        f"Another summary here.\n{body}",
        "A third one.\na third body of enough words",
    ]
    assert [query for query, _ in summaries_and_bodies(texts)] == [
        "Add two numbers.",
        "A third one.",
    ]


def test_check_refuses_text_without_line_breaks_and_names_the_mend():
    flat = HeldOut(tuple(text.replace("\n", " ") for text in TEXTS))
    with pytest.raises(ConfigurationError, match=r"actual: 0; mend: .*evaluation\.tasks"):
        Retrieval().check(flat)


def test_check_refuses_ten_documents_and_takes_eleven():
    with pytest.raises(ConfigurationError, match="at least 11"):
        Retrieval().check(HeldOut(TEXTS[:10]))
    Retrieval().check(HeldOut(TEXTS[:11]))
