"""Every loss and its gradient against loops over rows in float64, and central differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.exchange.anchors.classes import class_cosines
from agents.objectives import functional

SIZES = [(1, 4), (2, 3), (5, 7)]


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 3.0


def cosine(a, b) -> float:
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def log_softmax(scores) -> list[float]:
    top = max(scores)
    total = top + math.log(sum(math.exp(s - top) for s in scores))
    return [s - total for s in scores]


def slow_info_nce(first, second, temperature) -> float:
    count, total = len(first), 0.0
    for i in range(count):
        scores = [cosine(first[i], second[j]) / temperature for j in range(count)]
        total -= log_softmax(scores)[i]
        scores = [cosine(second[i], first[j]) / temperature for j in range(count)]
        total -= log_softmax(scores)[i]
    return total / (2 * count)


def slow_bank_contrast(own, bank, positives, temperature) -> float:
    total = 0.0
    for embedding, positive in zip(own, positives, strict=True):
        scores = [cosine(embedding, other) / temperature for other in bank]
        total -= log_softmax(scores)[positive]
    return total / len(own)


def slow_distribution(embeddings, temperature) -> np.ndarray:
    count = len(embeddings)
    result = np.zeros((count, count))
    for i in range(count):
        others = [j for j in range(count) if j != i]
        scores = [cosine(embeddings[i], embeddings[j]) / temperature for j in others]
        result[i, others] = [math.exp(value) for value in log_softmax(scores)]
    return result


def slow_similarity_distillation(own, target, temperature) -> float:
    student, total = slow_distribution(own, temperature), 0.0
    for p_row, q_row in zip(target, student, strict=True):
        for p, q in zip(p_row, q_row, strict=True):
            if p > 0:
                total += p * (math.log(p) - math.log(q))
    return total / len(own)


def slow_soft_cross_entropy(logits, targets) -> float:
    total = 0.0
    for scores, target in zip(logits, targets, strict=True):
        for p, log_q in zip(target, log_softmax(scores), strict=True):
            total -= p * log_q
    return total / len(logits)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_info_nce_equals_the_loop_over_rows_of_both_sides(check, size, temperature):
    check(
        lambda a, b: functional.info_nce(a, b, temperature),
        lambda a, b: slow_info_nce(a, b, temperature),
        rows(*size),
        rows(*size, seed=1),
    )


def test_info_nce_is_symmetric_in_its_views():
    first, second = torch.tensor(rows(6, 4)), torch.tensor(rows(6, 4, seed=1))
    there = functional.info_nce(first, second, 0.1)
    torch.testing.assert_close(there, functional.info_nce(second, first, 0.1))


def test_info_nce_of_orthogonal_documents_has_a_closed_form():
    # Cosine 1 to the positive and 0 to three negatives: log(e^(1/t) + 3) - 1/t with t = 0.5.
    eye = torch.eye(4, dtype=torch.float64)
    expected = math.log(math.exp(2.0) + 3.0) - 2.0
    assert functional.info_nce(eye, 7.0 * eye, 0.5).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_bank_contrast_equals_the_loop_over_anchors(check, temperature):
    bank = rows(9, 4, seed=2)
    unit = torch.tensor(bank / np.linalg.norm(bank, axis=1, keepdims=True))
    positives = [3, 8, 0, 3]
    check(
        lambda own: functional.bank_contrast(own, unit, torch.tensor(positives), temperature),
        lambda own: slow_bank_contrast(own, bank, positives, temperature),
        rows(4, 4),
    )


@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_similarity_distribution_equals_the_loop_and_is_zero_on_the_diagonal(temperature):
    embeddings = rows(6, 5)
    actual = functional.similarity_distribution(torch.tensor(embeddings), temperature).numpy()
    np.testing.assert_allclose(actual, slow_distribution(embeddings, temperature), rtol=1e-10)
    assert (np.diag(actual) == 0.0).all()
    np.testing.assert_allclose(actual.sum(axis=1), 1.0)


def test_similarity_distribution_of_two_points_each_other_with_certainty():
    actual = functional.similarity_distribution(torch.tensor(rows(2, 3)), 0.1)
    np.testing.assert_allclose(actual.numpy(), [[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_similarity_distillation_equals_the_loop_with_target_first(check, temperature):
    target = slow_distribution(rows(5, 3, seed=4), 0.5)
    check(
        lambda own: functional.similarity_distillation(own, torch.tensor(target), temperature),
        lambda own: slow_similarity_distillation(own, target, temperature),
        rows(5, 4),
    )


def test_similarity_distillation_diverges_from_the_teacher_and_not_towards_it():
    # A certain teacher against a student that is undecided between two: KL(target || own) is log 2,
    # while KL(own || target) would be infinite.
    third = 2 * math.pi / 3
    own = torch.tensor([[math.cos(k * third), math.sin(k * third)] for k in range(3)])
    target = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    loss = functional.similarity_distillation(own, target, 0.1)
    assert loss.item() == pytest.approx(math.log(2.0), rel=1e-5)


def test_similarity_distillation_of_its_own_distribution_is_zero_with_zero_gradient():
    own = torch.tensor(rows(6, 4), requires_grad=True)
    target = functional.similarity_distribution(own, 0.2).detach()
    loss = functional.similarity_distillation(own, target, 0.2)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert own.grad.abs().max() < 1e-12


def test_similarity_distillation_is_finite_where_float32_underflows():
    own = torch.tensor(rows(6, 4), dtype=torch.float32, requires_grad=True)
    target = functional.similarity_distribution(torch.tensor(rows(6, 4, seed=9)).float(), 0.004)
    assert (target == 0).sum() > 6  # more than the diagonal
    loss = functional.similarity_distillation(own, target, 0.004)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(own.grad).all()


def test_soft_cross_entropy_equals_the_loop_over_rows(check):
    targets = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.4, 0.4, 0.2]])
    check(
        lambda logits: functional.soft_cross_entropy(logits, torch.tensor(targets)),
        lambda logits: slow_soft_cross_entropy(logits, targets),
        rows(4, 3),
    )


def test_soft_cross_entropy_weighs_every_row_alike():
    logits = torch.tensor(rows(3, 4))
    targets = torch.softmax(torch.tensor(rows(3, 4, seed=1)), dim=1)
    each = [functional.soft_cross_entropy(logits[i : i + 1], targets[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(functional.soft_cross_entropy(logits, targets), sum(each) / 3)


def slow_class_cosines(embeddings, clusters, classes) -> np.ndarray:
    table = []
    for anchor, embedding in enumerate(embeddings):
        cosines = []
        for k in range(classes):
            others = [e for i, e in enumerate(embeddings) if clusters[i] == k and i != anchor]
            cosines.append(cosine(embedding, np.sum(others, axis=0)) if others else 0.0)
        table.append(cosines)
    return np.array(table)


@pytest.mark.parametrize("clusters", [[0, 0, 1, 1, 2, 0, 2], [0, 1, 1, 1, 1, 3, 0]])
def test_class_cosines_equal_the_loop_that_leaves_each_anchor_out_of_its_own_class(clusters):
    embeddings = rows(7, 5)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    actual = class_cosines(torch.tensor(embeddings), torch.tensor(clusters), 4)
    expected = slow_class_cosines(embeddings, clusters, 4)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_class_without_others_has_a_cosine_of_zero():
    embeddings = torch.nn.functional.normalize(torch.tensor(rows(4, 3)), dim=1)
    cosines = class_cosines(embeddings, torch.tensor([0, 1, 1, 1]), classes=3)
    # Anchor 0 is alone in class 0, and class 2 is empty.
    assert cosines[0, 0] == 0.0
    assert (cosines[:, 2] == 0.0).all()


def slow_list_net(own, candidates, targets, temperature) -> float:
    total = 0.0
    for row, each, target in zip(own, candidates, targets, strict=True):
        log_q = log_softmax([cosine(row, candidate) / temperature for candidate in each])
        total -= sum(p * q for p, q in zip(target, log_q, strict=True))
    return total / len(own)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_list_net_equals_the_loop_over_candidates(check, temperature):
    candidates = rows(4, 3, 5, seed=2)
    targets = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.4, 0.4, 0.2]])
    check(
        lambda own: functional.list_net(
            own, torch.tensor(candidates), torch.tensor(targets), temperature
        ),
        lambda own: slow_list_net(own, candidates, targets, temperature),
        rows(4, 5),
    )


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: functional.info_nce(x, x.flip(0), 0.05),
        lambda x: functional.bank_contrast(
            x, functional.normalise(x).detach(), torch.arange(8), 0.05
        ),
        lambda x: functional.similarity_distillation(x, (1 - torch.eye(8)) / 7, 0.1),
        lambda x: functional.soft_cross_entropy(x, torch.full((8, 6), 1 / 6)),
        lambda x: functional.list_net(x, torch.ones(8, 2, 6), torch.full((8, 2), 1 / 2), 0.1),
    ],
    ids=["info_nce", "bank_contrast", "similarity_distillation", "soft_cross_entropy", "list_net"],
)
def test_losses_accept_rows_of_zeros(loss):
    x = torch.zeros(8, 6, requires_grad=True)
    value = loss(x)
    value.backward()
    assert not torch.isnan(value)
    assert torch.isfinite(x.grad).all()
