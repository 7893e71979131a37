"""The start of a classifier of own labels as class means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.models.heads.label_head import LabelHead

WIDTH, CLASSES = 384, 4


def texts(labels: list[int], seed: int) -> torch.Tensor:
    """Return pooled states that share most of their length, as those of pretrained encoders do."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(CLASSES, WIDTH))
    rows = 5.0 + centres[labels] + rng.normal(size=(len(labels), WIDTH))
    return torch.from_numpy(rows.astype(np.float32))


def taught(head: LabelHead, labels: list[int], seed: int) -> torch.Tensor:
    pooled = texts(labels, seed)
    head.track(pooled)
    head.imprint(pooled, torch.tensor(labels))
    return pooled


def test_imprinted_row_scores_the_cosine_to_the_class_mean_over_a_tenth() -> None:
    head = LabelHead(WIDTH, CLASSES)
    labels = [0, 1, 1, 3]
    pooled = taught(head, labels, seed=0).numpy()
    mean = pooled.mean(axis=0)
    others = texts([0, 1, 2, 3], seed=1)
    scores = head(others).detach().numpy()
    for row, other in enumerate(others.numpy()):
        for code in (0, 1, 3):
            units = [
                (text - mean) / np.linalg.norm(text - mean)
                for text, label in zip(pooled, labels, strict=True)
                if label == code
            ]
            direction, centred = np.sum(units, axis=0), other - mean
            cosine = centred @ direction / np.linalg.norm(centred) / np.linalg.norm(direction)
            assert scores[row, code] == pytest.approx(10 * cosine, abs=1e-4)


def test_row_is_imprinted_once_and_that_of_an_absent_class_not_at_all() -> None:
    head = LabelHead(WIDTH, CLASSES)
    before = head.linear.weight.detach().clone()
    taught(head, [0, 1], seed=0)
    first = head.linear.weight.detach().clone()
    assert torch.equal(first[2:], before[2:])
    taught(head, [1, 2], seed=1)
    second = head.linear.weight.detach()
    assert torch.equal(second[:2], first[:2])
    assert not torch.equal(second[2], first[2])
    assert torch.equal(second[3], before[3])


def test_head_that_was_trained_before_is_left_alone() -> None:
    trained = LabelHead(WIDTH, CLASSES)
    taught(trained, [0, 1, 2, 3], seed=0)
    taught(trained, [0, 1, 2, 3], seed=1)
    again = LabelHead(WIDTH, CLASSES)
    again.load_state_dict(trained.state_dict())
    taught(again, [0, 1, 2, 3], seed=2)
    assert torch.equal(again.linear.weight, trained.linear.weight)


def test_autocast_changes_nothing() -> None:
    plain, cast = LabelHead(WIDTH, CLASSES), LabelHead(WIDTH, CLASSES)
    taught(plain, [0, 1, 2, 3, 3], seed=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        taught(cast, [0, 1, 2, 3, 3], seed=0)
    assert torch.equal(plain.linear.weight, cast.linear.weight)


def test_few_labels_suffice_before_any_step() -> None:
    head = LabelHead(WIDTH, CLASSES)
    truth = list(range(CLASSES)) * 25
    plain = (head(texts(truth, seed=3)).argmax(dim=1) == torch.tensor(truth)).float().mean()
    taught(head, [0, 1, 2, 3], seed=0)
    found = (head(texts(truth, seed=3)).argmax(dim=1) == torch.tensor(truth)).float().mean()
    assert plain < 0.6
    assert found > 0.95
