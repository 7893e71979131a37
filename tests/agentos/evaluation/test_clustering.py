from __future__ import annotations

import random

import numpy as np
import pytest

from agentos.evaluation import Clustering, HeldOut
from agents.models.text_encoder import FunctionEncoder
from protocols.seeding import derive, generator

LABELS = tuple("abcd"[i % 4] for i in range(120))
HELDOUT = HeldOut(tuple(f"{label} {i}" for i, label in enumerate(LABELS)), LABELS)


def clouds(spread):
    centres = np.random.default_rng(1).normal(size=(4, 5))

    def embed(texts):
        rows = [
            centres["abcd".index(text[0])]
            + spread * np.random.default_rng(int(text[2:])).normal(size=5)
            for text in texts
        ]
        return np.array(rows, dtype=np.float32)

    return embed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of mteb
def test_v_measure_equals_that_of_mteb():
    mteb = pytest.importorskip("mteb.abstasks.clustering")

    class InOrder(random.Random):
        """Draws every document once, where mteb would draw a sample."""

        def choices(self, population, *, k, **_):
            return list(population)

    order = generator(7, "evaluation", "clustering").permutation(len(LABELS))
    embed = clouds(1.0)
    rows = embed([HELDOUT.texts[i] for i in order])
    scores, _ = mteb._evaluate_clustering_bootstrapped(
        rows,
        [[LABELS[i]] for i in order],
        n_clusters=1,
        cluster_size=len(rows),
        kmean_batch_size=512,
        max_depth=None,
        rng_state=InOrder(),
        seed=derive(7, "evaluation", "clustering", 0) % 2**32,
    )
    (expected,) = scores["v_measure"]["Level 0"]
    task = Clustering(initialisations=1)
    found = task.evaluate(FunctionEncoder(embed), HELDOUT, seed=7)["v_measure"]
    assert found == pytest.approx(expected)
    assert 0.1 < found < 0.95


def test_separate_clouds_score_one_and_a_collapsed_encoder_zero():
    best = Clustering(initialisations=10).evaluate(FunctionEncoder(clouds(0.0)), HELDOUT, 0)
    assert best["v_measure"] > 0.8
    ones = FunctionEncoder(lambda texts: np.ones((len(texts), 5), np.float32))
    assert Clustering().evaluate(ones, HELDOUT, 0)["v_measure"] == pytest.approx(0, abs=1e-9)


def test_documents_caps_the_texts_that_are_embedded():
    seen = []

    def embed(texts):
        seen.extend(texts)
        return clouds(1.0)(texts)

    Clustering(documents=40).evaluate(FunctionEncoder(embed), HELDOUT, 0)
    assert len(seen) == 40
