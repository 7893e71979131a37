"""Explanations against slow ones, and on an encoder whose important word is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agentos.audit.explanation import explain, nearest
from agentos.audit.explanation.attribution import Attribution, attribute, scores
from agentos.audit.explanation.faithfulness import RANDOM_ORDERS, faithfulness
from agentos.audit.explanation.targets import target_of
from agentos.audit.explanation.text_words import words_of
from agentos.audit.explanation.word_explanation import _agreement
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.models.text_encoder import EmbeddingMap
from protocols.errors import ConfigurationError, DataError

from .conftest import TEXT


def let_one_word_matter(encoder: LoadedEncoder) -> str:
    """Give every token the embedding of padding, but one that stands in the text once; return its word."""
    words = words_of(encoder, TEXT)
    ids = words.ids.tolist()
    chosen = next(
        index
        for index, word in enumerate(words.words)
        if index and len(word.tokens) == 1 and ids.count(ids[word.tokens[0]]) == 1
    )
    token = ids[words.words[chosen].tokens[0]]
    with torch.no_grad():
        embeddings = encoder.encoder.backbone.get_input_embeddings().weight
        own = torch.sign(embeddings[token])
        embeddings[:] = embeddings[encoder.padding_token].clone()
        embeddings[token] = own
        for name, values in encoder.encoder.backbone.named_parameters():
            if "position" in name or "wpe" in name:
                values.zero_()
    return words.spelling(chosen)


def test_the_words_of_a_text_are_its_characters_without_spaces(encoder):
    words = words_of(encoder, TEXT)
    assert "".join(words.spelling(i) for i in range(len(words.words))) == TEXT.replace(" ", "")
    tokens = [token for word in words.words for token in word.tokens]
    assert tokens == list(range(len(words.ids)))


def test_leaving_words_out_equals_embedding_the_text_without_them(encoder):
    target, words = target_of(encoder, TEXT, "A slow cat sleeps."), words_of(encoder, TEXT)
    reference = encoder.embed(["A slow cat sleeps."])[0]
    found = attribute(encoder, words, target)
    for index in (0, len(words.words) - 1):
        ids = np.delete(words.ids, list(words.words[index].tokens))
        framed = [*encoder.collate.prefix, *ids.tolist(), *encoder.collate.suffix]
        with torch.inference_mode():
            states = encoder.encoder.backbone(torch.tensor([framed])).last_hidden_state[0]
        pooled = states[-1] if encoder.encoder.pooling == "last" else states.mean(dim=0)
        cosine = float(F.cosine_similarity(pooled, torch.from_numpy(reference), dim=0))
        assert found.occlusion[index] == pytest.approx(found.score - cosine, abs=1e-5)


def test_integrated_gradients_equal_a_slow_integral_and_sum_to_the_difference(encoder):
    encoder.collate.prefix, encoder.collate.suffix = [], []  # then words carry everything
    target, words = target_of(encoder, TEXT, "A slow cat sleeps."), words_of(encoder, TEXT)
    found = attribute(encoder, words, target)
    assert found.gradients.sum() == pytest.approx(found.score - found.baseline, abs=2e-3)

    table = encoder.encoder.backbone.get_input_embeddings()
    ids = torch.from_numpy(words.ids)[None]
    start = table(torch.full_like(ids, encoder.padding_token)).detach()
    difference, total = table(ids).detach() - start, torch.zeros(ids.shape[1])
    steps = 400
    for step in range(steps):
        point = (start + (step + 0.5) / steps * difference).requires_grad_()
        states = encoder.encoder.backbone(inputs_embeds=point).last_hidden_state
        pooled = states[:, -1] if encoder.encoder.pooling == "last" else states.mean(dim=1)
        target.score(pooled).sum().backward()
        total += (point.grad * difference).sum(dim=-1)[0] / steps
    np.testing.assert_allclose(found.gradients, words.of_words(total.double().numpy()), atol=2e-3)


def test_the_word_that_matters_comes_first_and_the_explanation_is_faithful(encoder):
    word = let_one_word_matter(encoder)
    found = explain(encoder, TEXT, word)
    assert found.words.spelling(int(np.argmax(found.contributions))) == word
    check = found.checks[found.method]
    assert check.deletion[0] == pytest.approx(found.attribution.score, abs=1e-5)
    assert (
        check.insertion[1] > check.insertion[-1]
    )  # the word alone is nearer to itself than the text
    assert check.deletion[-1] == pytest.approx(check.insertion[0])
    assert found.faithful()


def test_the_word_that_matters_decides_the_class(encoder):
    word = let_one_word_matter(encoder)
    found = explain(encoder, TEXT, label="auto")
    strongest = int(np.argmax(np.abs(found.contributions)))
    assert found.words.spelling(strongest) == word


def test_an_explanation_upside_down_is_not_faithful(encoder):
    word = let_one_word_matter(encoder)
    target, words = target_of(encoder, TEXT, word), words_of(encoder, TEXT)
    occlusion = attribute(encoder, words, target).occlusion
    checks = faithfulness(
        words,
        {"right": occlusion, "upside down": -occlusion},
        lambda texts: scores(encoder, target, texts),
    )
    assert checks["right"].gap > checks["upside down"].gap
    assert checks["right"].insertion_beats == RANDOM_ORDERS
    assert checks["upside down"].insertion_beats == 0


def test_the_explained_number_is_that_of_mapped_embeddings(encoder):
    width = encoder.encoder.width
    encoder.maps = {"centred": EmbeddingMap(None, np.full(width, 0.3, dtype=np.float32))}
    first, second = encoder.embed([TEXT, "A slow cat sleeps."])
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    found = explain(encoder, TEXT, "A slow cat sleeps.")
    assert found.attribution.score == pytest.approx(cosine, abs=1e-5)


def test_class_scores_are_those_of_the_classifier(encoder):
    scores = encoder.label_scores([TEXT])
    found = explain(encoder, TEXT, label="dogs")
    assert np.exp(found.attribution.score) == pytest.approx(scores.probabilities[0, 1], abs=1e-5)


def test_what_cannot_be_explained_is_refused(encoder):
    with pytest.raises(ConfigurationError, match="at once"):
        explain(encoder, TEXT, "other", label="dogs")
    with pytest.raises(ConfigurationError, match="does not know"):
        explain(encoder, TEXT, label="birds")
    with pytest.raises(DataError, match="nothing to explain"):
        explain(encoder, "  ")
    encoder.classifier = None
    with pytest.raises(ConfigurationError, match="no classifier"):
        explain(encoder, TEXT, label="auto")


def test_a_text_of_one_word_and_a_long_one_are_explained(encoder):
    assert explain(encoder, "dog").agreement is None
    long = explain(encoder, "dog cat " * 100)
    assert len(long.words.ids) == encoder.collate.budget
    json.dumps(long.as_json(), allow_nan=False)


def test_the_nearest_texts_equal_those_by_centred_cosines(encoder):
    among = ["A slow cat sleeps.", TEXT, "The forest is dark.", "Dogs run."]
    found = nearest(encoder, TEXT, among, count=2)
    assert found[0].text == TEXT
    assert found[0].cosine == pytest.approx(1.0, abs=1e-5)
    rows = encoder.embed(among) - encoder.embed(among).mean(axis=0)
    own: Any = rows[1] / np.linalg.norm(rows[1])
    expected = sorted((rows @ own) / np.linalg.norm(rows, axis=1))[-2]
    assert found[1].cosine == pytest.approx(expected, abs=1e-5)
    assert nearest(encoder, TEXT, []) == []


@pytest.mark.parametrize(
    ("gradients", "occlusion", "agreement"),
    [
        ([1.0, 2.0, 4.0], [0.1, 0.5, 0.9], 1.0),
        ([1.0, 2.0, 4.0], [0.9, 0.5, 0.1], -1.0),
        ([1.0, 1.0, 1.0], [0.1, 0.5, 0.9], None),
        ([1.0, 2.0], [0.1, 0.5], None),
    ],
)
def test_methods_agree_by_ranks_and_not_where_ranks_say_nothing(
    gradients: list[float], occlusion: list[float], agreement: float | None
) -> None:
    found = Attribution(np.array(gradients), np.array(occlusion), 1.0, 0.0, 0.0)
    assert _agreement(found) == (None if agreement is None else pytest.approx(agreement))
