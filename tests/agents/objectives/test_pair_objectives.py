"""Next sentence and sentence order: how pairs are drawn, and the loss against loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.objectives import NextSentence, RawBatch, SentenceOrder, Step
from agents.objectives.pairs import UNCLASSIFIED, classify, piece, segments
from agents.text.tokens import Text
from agents.training.blueprint import Arm

KINDS = [NextSentence, SentenceOrder]


@pytest.fixture(scope="module")
def agent(make_host):
    encoder = EncoderConfig(preset="nano", dropout=0.0)
    objectives = (NextSentence(), SentenceOrder())
    host = make_host(1, encoders=(encoder,), objectives=objectives)
    host.begin(Arm(Isolated(), 0.0))
    return host.agents[0]


def raw(agent, texts, seed=0):
    return RawBatch(texts, agent.resident.collate, agent.setting, np.random.default_rng(seed))


def numbered(*lengths, every=4, first=5):
    """Texts of distinct tokens, a sentence every four."""
    ends = first + np.cumsum([0, *lengths])
    return [Text(np.arange(a, b), np.arange(0, b - a, every)) for a, b in itertools.pairwise(ends)]


class Words:
    """A vocabulary in which even tokens begin words."""

    def words(self, tokens):
        return np.flatnonzero((tokens % 2 == 0) | (np.arange(len(tokens)) == 0))


def cut(text, budget=100, seed=0):
    return segments(text, budget, Words(), np.random.default_rng(seed))


# --- segments -----------------------------------------------------------------------------------


def test_segments_meet_at_every_sentence_alike_and_hold_the_whole_document():
    (text,) = numbered(16)
    counts = {4: 0, 8: 0, 12: 0}
    for seed in range(600):
        first, second = cut(text, seed=seed)
        np.testing.assert_array_equal(np.concatenate([first, second]), text.tokens)
        counts[len(first)] += 1
    assert all(160 < count < 240 for count in counts.values())  # 200 expected, deviation 11.5


def test_segments_of_a_long_document_fill_the_budget_on_both_sides_of_the_cut():
    (text,) = numbered(40)
    for seed in range(50):
        first, second = cut(text, 10, seed)
        place = second[0] - 5
        assert place % 4 == 0
        assert len(first) + len(second) == 10
        assert first[-1] + 1 == second[0]
        assert min(len(first), len(second)) == min(5, place, 40 - place)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([2, 3, 4, 6, 7, 8], {2, 3, 5}),
        ([2, 3, 5], {1, 2}),
        ([2, 3], {1}),
        ([3, 5, 7, 9], {1, 2, 3}),
    ],
    ids=["words", "a word", "two tokens", "a word of four tokens"],
)
def test_segments_of_a_single_sentence_meet_where_a_word_begins_or_within_a_single_one(
    tokens, expected
):
    found = set()
    for seed in range(40):
        first, second = cut(Text.of(np.array(tokens)), seed=seed)
        assert [*first, *second] == tokens
        found.add(len(first))
    assert found == expected


def test_segments_of_a_long_document_are_equally_long_whether_the_budget_is_odd_or_not():
    # Were the odd token always given to one side, length would tell the order of the two.
    text = Text.of(np.arange(0, 200, 2))
    for budget in (10, 11):
        middle = [cut(text, budget, seed) for seed in range(20)]
        assert {(len(a), len(b)) for a, b in middle if a[0] > 10 and b[-1] < 180} == {(5, 5)}


def test_a_single_token_makes_both_segments():
    first, second = cut(Text.of(np.array([7])))
    assert first.tolist() == second.tolist() == [7]


# --- next sentence ------------------------------------------------------------------------------


def parts(padded, row):
    """Return the two texts of a framed pair, [CLS] and [SEP] being 2 and 3."""
    ids = padded.input_ids[row, : padded.lengths[row]]
    (first, second) = np.flatnonzero(ids == 3)
    return ids[1:first], ids[first + 1 : second]


def test_half_of_the_second_segments_follow_and_half_are_of_another_document(agent):
    texts = numbered(9, 12, 30, 7)
    home = {token: row for row, text in enumerate(texts) for token in text.tokens}
    starts = {text.tokens[start] for text in texts for start in text.sentences[1:]}
    labels = []
    for seed in range(200):
        prepared = NextSentence().prepare(raw(agent, texts, seed))
        for row, label in enumerate(prepared["labels"]):
            first, second = parts(prepared["pairs"], row)
            assert {home[token] for token in first} == {row}
            assert (np.diff(second) == 1).all()
            if label == 0:
                assert second[0] == first[-1] + 1
            else:
                assert home[second[0]] != row
                assert second[0] in starts
        labels.extend(prepared["labels"])
    assert abs(np.mean(labels) - 0.5) < 0.06  # three standard deviations of 800 draws


def test_neither_place_nor_length_tells_random_segments_from_those_that_follow(agent):
    # Every document is the same, so that all that could tell them apart is how they are cut.
    texts = [Text(np.arange(5, 45), np.array([0, 13, 20, 31]))] * 6
    seen = {0: [], 1: []}
    for seed in range(300):
        prepared = NextSentence().prepare(raw(agent, texts, seed))
        for row, label in enumerate(prepared["labels"]):
            first, second = parts(prepared["pairs"], row)
            seen[label].append((len(first), len(second), int(second[0])))
    assert set(seen[0]) == {(4, 4, 18), (4, 4, 25), (4, 4, 36)}
    assert set(seen[1]) == set(seen[0])
    for pair in set(seen[0]):
        shares = [seen[label].count(pair) / len(seen[label]) for label in (0, 1)]
        assert shares == pytest.approx([1 / 3, 1 / 3], abs=0.06)  # four standard deviations


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (3, {(5, 6, 7), (10, 11, 12)}),
        (8, {(5, 6, 7, 8, 9, 10, 11, 12)}),
        (9, {tuple(range(5, 13))}),
    ],
)
def test_a_piece_begins_where_enough_follows_if_it_can(length, expected):
    text = Text(np.arange(13), np.array([0, 5, 10]))
    found = {
        tuple(piece(text, length, Words(), np.random.default_rng(seed)).tolist())
        for seed in range(20)
    }
    assert found == expected


def test_a_single_document_is_never_paired_with_another(agent):
    for seed in range(10):
        assert NextSentence().prepare(raw(agent, numbered(9), seed))["labels"] == [0]


# --- sentence order -----------------------------------------------------------------------------


def test_half_of_the_pairs_are_swapped(agent):
    texts, labels = numbered(9, 12, 30, 7), []
    for seed in range(200):
        prepared = SentenceOrder().prepare(raw(agent, texts, seed))
        for row, label in enumerate(prepared["labels"]):
            pair = parts(prepared["pairs"], row)
            before, after = pair[::-1] if label else pair
            assert before[-1] + 1 == after[0]
        labels.extend(prepared["labels"])
    assert abs(np.mean(labels) - 0.5) < 0.06


# --- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_documents_of_a_single_token_are_encoded_and_not_asked_about(agent, kind):
    prepared = kind().prepare(raw(agent, numbered(1, 9, 1)))
    assert (prepared["labels"] == UNCLASSIFIED).tolist() == [True, False, True]
    inputs = agent.resident.to_device(kind().prepare(raw(agent, numbered(1, 1))))
    result = kind().loss(Step(agent.encoder, inputs, np.random.default_rng(0)))
    assert result.loss == 0.0
    assert result.token_counts.tolist() == [5, 5]
    result.loss.backward()
    assert torch.isfinite(agent.resident.binding.gradient).all()


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_accuracy_equal_the_loop_over_pairs(agent, kind, documents):
    objective = kind()
    texts = [Text.row(documents, row) for row in range(8)] + numbered(1)
    texts[-1] = Text.of(texts[0].tokens[:1])
    prepared = objective.prepare(raw(agent, texts))
    agent.encoder.eval()
    step = Step(agent.encoder, agent.resident.to_device(prepared), np.random.default_rng(0))
    result = objective.loss(step)
    head = agent.encoder.heads[objective.kind]
    weights, biases = head.weight.detach().double(), head.bias.detach().double()
    total, right, count = 0.0, 0, 0
    for row, label in enumerate(prepared["labels"]):
        if label == UNCLASSIFIED:
            continue
        length = prepared["pairs"].lengths[row]
        ids = torch.from_numpy(prepared["pairs"].input_ids[row : row + 1, :length])
        types = torch.from_numpy(prepared["pairs"].token_type_ids[row : row + 1, :length])
        pooled = agent.encoder(ids, torch.ones_like(ids), types)[0].detach().double()
        scores = [float(w @ pooled + b) for w, b in zip(weights, biases, strict=True)]
        total += math.log(sum(math.exp(s) for s in scores)) - scores[label]
        right += int(scores[label] == max(scores))
        count += 1
    assert result.loss.item() == pytest.approx(total / count, rel=1e-5)
    (accuracy,) = result.metrics.values()
    assert (int(accuracy.total), int(accuracy.count)) == (right, count)
    assert list(result.metrics) == [f"{objective.kind}_accuracy"]
    np.testing.assert_array_equal(result.token_counts, prepared["pairs"].lengths)


def test_gradient_of_the_question_equals_the_one_derived_by_hand():
    # d CE / d logit = (probability - is the label) / pairs asked about; nothing where UNCLASSIFIED.
    logits = torch.tensor(
        [[0.3, -1.0], [2.0, 0.5], [0.1, 0.2]], dtype=torch.float32, requires_grad=True
    )
    labels = torch.tensor([1, 0, UNCLASSIFIED])

    class Given:
        inputs = {"pairs": type("Pairs", (), {"lengths": np.ones(3)}), "labels": labels}

        def encode(self, _):
            return logits

    classify(Given(), torch.nn.Identity(), "accuracy").loss.backward()
    expected = np.zeros((3, 2))
    for row, label in ((0, 1), (1, 0)):
        powers = [math.exp(x) for x in logits[row].tolist()]
        for k in (0, 1):
            expected[row, k] = (powers[k] / sum(powers) - (k == label)) / 2
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_change_neither_loss_nor_gradient(agent, kind, documents):
    texts = [Text.row(documents, row) for row in range(6)]
    inputs = agent.resident.to_device(kind().prepare(raw(agent, texts)))
    found = []
    for tokens in (None, 24):
        agent.resident.binding.gradient.zero_()
        step = Step(agent.encoder, inputs, np.random.default_rng(0), micro_batch_tokens=tokens)
        result = kind().loss(step)
        result.loss.backward()
        found.append((result.loss.detach(), agent.resident.binding.gradient.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_only_pairs_of_one_document_are_offered_to_exchanges(agent, documents):
    texts = [Text.row(documents, row) for row in range(3)]
    views = {}
    for kind in KINDS:
        inputs = agent.resident.to_device(kind().prepare(raw(agent, texts)))
        views[kind] = len(kind().loss(Step(agent.encoder, inputs, np.random.default_rng(0))).pooled)
    assert views == {NextSentence: 0, SentenceOrder: 1}
