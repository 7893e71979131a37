"""The study of wrong knowledge: as many errors as it says, and figures that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.studies.learning.injected_errors import (
    COPIES,
    SOURCES,
    Stated,
    Subjects,
    one_liar,
    ways,
)
from experiments.studies.learning.wrong_knowledge import (
    Corpus,
    cost_of_copies,
    drawn,
    find,
    measured,
    resolvers,
    study,
)
from protocols.seeding import generator


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Twelve classes around centres of their own."""
    rng = generator(0, "study corpus")
    labels = np.repeat(np.arange(12), 120)
    points = 3 * rng.standard_normal((12, 16))[labels] + rng.standard_normal((1440, 16))
    return Corpus("made up", points.astype(np.float32), labels)


@pytest.fixture(scope="module")
def subjects(corpus: Corpus) -> Subjects:
    return drawn(corpus, 0)[0]


def test_fifth_of_all_claims_is_wrong_in_each_way(subjects: Subjects) -> None:
    for way, stated in ways(subjects, generator(1, "errors"), 0.2).items():
        share = stated.wrong_SN.sum() / (stated.labels_SN >= 0).sum()
        assert abs(share - 0.2) < 0.03, way
        assert (stated.labels_SN >= 0).any(axis=0).all()
        assert (stated.audit_N >= 0).sum() == round(0.05 * len(subjects.truth_N))
    wrong = ways(subjects, generator(1, "errors"), 0.2)["pair flips"]
    labels = wrong.labels_SN[wrong.wrong_SN]
    truth = np.broadcast_to(subjects.truth_N, wrong.labels_SN.shape)[wrong.wrong_SN]
    assert (labels == (truth + 1) % subjects.classes).all()


def test_copies_repeat_the_liar_under_origins_of_their_own(subjects: Subjects) -> None:
    alone, copied = (one_liar(subjects, generator(2, "liar"), 0.2, n) for n in (0, COPIES))
    assert copied.labels_SN.shape[0] == SOURCES + 1 + COPIES
    for copy in range(COPIES):
        np.testing.assert_array_equal(
            copied.labels_SN[SOURCES], copied.labels_SN[SOURCES + 1 + copy]
        )
    np.testing.assert_array_equal(alone.labels_SN, copied.labels_SN[: SOURCES + 1])
    origins = copied.ballots().origins_SN
    assert len(np.unique(origins)) == origins.size


def test_texts_to_answer_are_others_than_those_of_claims(corpus: Corpus) -> None:
    subjects, asked = drawn(corpus, 3)
    rows = {row.tobytes() for row in subjects.points_ND}
    assert not rows & {row.tobytes() for row in asked.points_ND}
    assert (len(subjects.truth_N), len(asked.truth_N)) == (1000, 200)


def test_figures_are_those_of_what_was_found(subjects: Subjects, corpus: Corpus) -> None:
    truth = subjects.truth_N
    labels = np.stack([truth, np.where(np.arange(len(truth)) < 40, (truth + 1) % 10, truth)])
    stated = Stated(labels, subjects, np.full(len(truth), -1))
    found = find(
        stated, "latest"
    )  # the second source came last: its errors hold, the other's claims lose
    figures = measured(stated, found, drawn(corpus, 0)[1])
    assert found.wrong_SN.sum() == 40
    assert figures[:4] == [0.0, 0.0, 0.0, pytest.approx(96.0)]


def test_neighbours_raise_what_is_found(subjects: Subjects) -> None:
    stated = ways(subjects, generator(4, "errors"), 0.2)["random"]
    hits = {
        kind: (find(stated, kind).wrong_SN & stated.wrong_SN).sum() / stated.wrong_SN.sum()
        for kind in ("origin_beta", "origin_beta, no neighbours", "majority")
    }
    assert hits["origin_beta"] > 0.9 > hits["origin_beta, no neighbours"] > hits["majority"]


def test_copies_cost_a_majority_more_than_origin_beta(subjects: Subjects) -> None:
    assert (
        cost_of_copies(subjects, 5, "origin_beta") <= 1.0 < cost_of_copies(subjects, 5, "majority")
    )


def test_tables_have_a_row_for_each_way_and_resolver(corpus: Corpus) -> None:
    found, costs = study(corpus, [0, 1])
    assert len(found.splitlines()) == 2 + 4 * (1 + len(resolvers()))
    assert len(costs.splitlines()) == 2 + len(resolvers())
