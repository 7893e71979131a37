from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.topologies import PeerNetwork
from protocols.topologies.mixing import dense, metropolis_hastings, spectral_gap


@given(st.integers(2, 12), st.integers(0, 2**32 - 1), st.floats(0.2, 1))
def test_metropolis_hastings_equals_its_definition(agents, seed, p):
    graph = nx.compose(nx.gnp_random_graph(agents, p, seed=seed), nx.path_graph(agents))
    expected = np.zeros((agents, agents))
    for i in range(agents):
        for j in range(agents):
            if graph.has_edge(i, j):
                expected[i, j] = 1 / (1 + max(graph.degree(i), graph.degree(j)))
    expected += np.diag(1 - expected.sum(axis=1))
    np.testing.assert_allclose(PeerNetwork.of(graph).mixing(0), expected, atol=1e-15)


def test_metropolis_hastings_of_an_agent_alone_is_itself():
    assert metropolis_hastings(3, {}) == {3: 1.0}


def test_dense_places_rows_by_agent():
    np.testing.assert_array_equal(dense([{1: 1.0}, {0: 0.5, 1: 0.5}], 2), [[0, 1], [0.5, 0.5]])


def test_spectral_gap_without_mixing_is_none_at_all():
    assert spectral_gap([np.eye(3)]) == 0.0


def test_spectral_gap_needs_a_matrix():
    with pytest.raises(ValueError, match="at least one"):
        spectral_gap([])


def test_spectral_gap_of_a_product_is_the_mean_rate_per_round():
    lazy = 0.5 * np.eye(4) + 0.5 * np.full((4, 4), 0.25)
    assert spectral_gap([lazy]) == pytest.approx(0.5)
    assert spectral_gap([lazy] * 5) == pytest.approx(0.5)


def test_spectral_gap_of_sparse_and_dense_products_agree():
    # Above 8 weights a row on average a product is formed densely, below it row by row.
    sparse = PeerNetwork.of(nx.cycle_graph(30)).mixing(0)
    shift = np.roll(np.eye(30), 1, axis=1)
    product = 0.5 * (np.eye(30) + shift) @ sparse
    expected = 1 - np.linalg.norm(product - 1 / 30, 2) ** 0.5
    assert spectral_gap([sparse, 0.5 * (np.eye(30) + shift)]) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_gap_of_sparse_and_of_dense_matrices_is_that_of_their_product(seed):
    rng = np.random.default_rng(seed)
    sparse = [dense([{i: 0.5, int(j): 0.5} for i, j in enumerate(rng.permutation(20))], 20)] * 2
    full = rng.dirichlet(np.ones(20), size=(2, 20))
    full = [(rows + rows.T) / 2 for rows in full]
    for matrices in (sparse, full, [*sparse, *full]):
        product = np.linalg.multi_dot([*matrices[::-1], np.eye(20)])
        norm = np.linalg.norm(product - 1 / 20, 2)
        expected = max(0.0, 1 - norm ** (1 / len(matrices)))
        assert spectral_gap(iter(matrices)) == pytest.approx(expected, abs=1e-9)
