from __future__ import annotations

import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from agentos.evaluation import (
    KNN,
    TASKS,
    Clustering,
    Evaluator,
    Geometry,
    HeldOut,
    Probe,
    Retrieval,
)
from agentos.evaluation.base import VARIANTS
from agentos.evaluation.centering import MapFitter, Whitening, fit_centering, fit_whitening
from agentos.evaluation.config import EvaluationConfig
from agents.models.text_encoder import EmbeddingMap, FunctionEncoder, MappedEncoder
from protocols.errors import ConfigurationError

RNG = np.random.default_rng(0)
MIXED = RNG.normal(size=(6, 6))
ROWS = (RNG.normal(size=(80, 6)) @ MIXED + 3 * RNG.normal(size=6)).astype(np.float32)
OTHERS = (RNG.normal(size=(50, 6)) @ MIXED + 1).astype(np.float32)
TEXTS = tuple(f"summary of document {i}\nits body has the words {i} and {i * i}" for i in range(30))
HELDOUT = HeldOut(TEXTS, tuple("abc"[i % 3] for i in range(30)))
OFFSET = np.array([9.0, -7.0, 5.0, 3.0, 2.0, 8.0, 1.0, -4.0, 6.0, 2.0], dtype=np.float32)


def digits(texts):
    """Count digits; every text has the same large offset."""
    return np.array([[t.count(str(d)) for d in range(10)] for t in texts], np.float32) + OFFSET


def test_centering_subtracts_the_mean_as_a_loop_finds_it():
    found = fit_centering(ROWS)(OTHERS)
    for row, mapped in zip(OTHERS.tolist(), found.tolist(), strict=True):
        for d in range(6):
            mean = sum(float(each[d]) for each in ROWS) / len(ROWS)
            assert mapped[d] == pytest.approx(row[d] - mean, abs=1e-5)


@pytest.mark.parametrize("width", [None, 1, 4])
def test_whitening_equals_the_published_recipe_up_to_signs(width):
    # Su et al.: u, s = svd(cov(rows.T)); W = u diag(s ** -0.5); (x - mean) W[:, :k]
    left, values, _ = np.linalg.svd(np.cov(ROWS.astype(np.float64).T))
    expected = (OTHERS - ROWS.mean(axis=0)) @ (left @ np.diag(values**-0.5))[:, :width]
    found = fit_whitening(ROWS, width)(OTHERS)
    assert found.shape == (50, width or 6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-3)


def test_whitened_rows_have_mean_zero_and_unit_covariance():
    white = fit_whitening(ROWS)(ROWS)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=1e-3)


def test_whitening_does_not_amplify_directions_without_variance():
    wide = np.zeros((5, 8), np.float32)  # five rows span at most four directions about their mean
    wide[:, :6] = ROWS[:5]
    white = fit_whitening(wide)
    np.testing.assert_array_equal(white.weight[4:], 0)
    assert np.abs(white(wide)).max() < 5
    noisy = np.ones((50, 6), np.float32) + RNG.normal(0, 1e-7, (50, 6)).astype(np.float32)
    for collapsed in (noisy, -noisy, np.ones((50, 6), np.float32), np.zeros((50, 6), np.float32)):
        np.testing.assert_array_equal(fit_whitening(collapsed)(collapsed), 0)


def test_whitening_beyond_the_width_of_the_encoder_is_refused():
    with pytest.raises(ConfigurationError, match="at most 6") as caught:
        fit_whitening(ROWS, 7)
    assert caught.value.hint


def test_fitter_returns_the_maps_that_are_asked_for_and_travels():
    assert list(MapFitter(True, None, 9)(ROWS)) == ["centered"]
    assert list(MapFitter(False, Whitening(), 9)(ROWS)) == ["whitened"]
    both = pickle.loads(pickle.dumps(MapFitter(True, Whitening(width=2), 9)))
    assert list(both(ROWS)) == list(both.variants) == ["centered", "whitened"]
    assert both(ROWS)["whitened"].bias.shape == (2,)


def test_map_with_an_explicit_identity_equals_the_one_without():
    bias = RNG.normal(size=6).astype(np.float32)
    implicit, explicit = EmbeddingMap(None, bias), EmbeddingMap(np.eye(6, dtype=np.float32), bias)
    np.testing.assert_allclose(implicit(ROWS), explicit(ROWS), atol=1e-6)


def test_centered_metrics_are_those_of_embeddings_without_the_mean():
    tasks = (Retrieval(), KNN(k=3))
    centre = fit_centering(digits(TEXTS[:8]))
    evaluator = Evaluator((*tasks, Geometry(), Probe()), HELDOUT, seed=1)
    found, figures = evaluator.examine(MappedEncoder(FunctionEncoder(digits), centre), "centered")
    mean = digits(TEXTS[:8]).mean(axis=0)
    moved = Evaluator(tasks, HELDOUT, 1)(FunctionEncoder(lambda texts: digits(texts) - mean))
    assert found == pytest.approx({f"centered_{name}": x for name, x in moved.items()}, abs=1e-6)
    assert figures == {}
    assert moved["mrr"] > evaluator(FunctionEncoder(digits))["mrr"]  # the offset hid the digits


def test_collapsed_encoder_ranks_last_when_it_is_centred_on_other_text():
    def collapsed(texts):
        noise = np.random.default_rng(len(texts)).normal(0, 1e-7, (len(texts), 10))
        return (OFFSET * (1 + noise)).astype(np.float32)

    centre = fit_centering(collapsed(TEXTS[:7]))
    evaluator = Evaluator((Retrieval(),), HELDOUT, 0)
    found, _ = evaluator.examine(MappedEncoder(FunctionEncoder(collapsed), centre), "centered")
    assert found["centered_mrr"] == pytest.approx(1 / 30)


@pytest.mark.parametrize("task", [Probe(), Clustering()])
def test_tasks_that_centring_is_not_measured_on_do_not_depend_on_the_origin(task):
    assert "centered" not in task.affected_by
    plain = task.evaluate(FunctionEncoder(digits), HELDOUT, 0)
    moved = task.evaluate(FunctionEncoder(lambda texts: digits(texts) - OFFSET), HELDOUT, 0)
    assert moved == pytest.approx(plain, abs=1e-6)


def test_every_variant_of_a_task_is_known():
    for task in TASKS.values():
        assert task.affected_by <= VARIANTS.keys()


def test_variants_stand_beside_their_metric_and_keep_its_direction_and_unit():
    config = EvaluationConfig(tasks=["retrieval", "geometry"], whitening={"width": 8})
    names = [metric.name for metric in config.metrics]
    assert names[:3] == ["mrr", "centered_mrr", "whitened_mrr"]
    assert not any("centered" in name for name in names[9:])
    known = {metric.name: metric for metric in config.metrics}
    recall = known["centered_recall_at_10"]
    assert (recall.title, recall.percent, recall.minor) == ("Recall@10, centred", True, False)
    assert recall.variant_of == "recall_at_10"
    assert recall.higher_is_better
    assert "training text" in recall.help
    assert known["whitened_ndcg_at_10"].minor


def test_evaluation_is_centred_unless_it_is_switched_off():
    assert EvaluationConfig().fitter.variants == ("centered",)
    assert EvaluationConfig().fitter.text == "sentences"
    assert EvaluationConfig(center=False).fitter.variants == ()
    assert EvaluationConfig(center=False).metrics == (*Retrieval.metrics, *Geometry.metrics)
    assert EvaluationConfig(tasks=["geometry"]).fitter.measured == ()
    assert EvaluationConfig(tasks=["clustering"], whitening={}).fitter.measured == ("whitened",)
    with pytest.raises(ValidationError, match="center_documents"):
        EvaluationConfig(center_documents=64, whitening={"width": 64})
