"""Mixing matrices: the weights of neighbours in an agent's average, and how fast mixing agrees.

Shapes: N agents, numbered 0..N-1; a mixing matrix W is ``[N, N]``, W[i, j] the weight of agent j's
message in the average of agent i, and W[i, i] the weight of agent i itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

NEGLIGIBLE = 1e-12
"""Disagreement below this share of its initial value is rounding error, and counts as none."""


def metropolis_hastings(agent: int, degrees: Mapping[int, int]) -> dict[int, float]:
    """Return one row of the Metropolis-Hastings mixing matrix; only local knowledge is needed.

    ``W[i, j] = 1 / (1 + max(degree(i), degree(j)))`` for each j that sends to i, and W[i, i]
    takes the rest. The matrix is symmetric and doubly stochastic on every undirected graph; on a
    directed one it is doubly stochastic if all agents have the same number of senders and receivers.

    Args:
        agent: the agent whose row it is.
        degrees: for each agent that sends to it, the number of its senders.

    Returns:
        The weight of each agent in ``degrees`` and of ``agent`` itself, by ascending number; they
        sum to 1.

    Source: Xiao et al., A scheme for robust distributed sensor fusion based on average consensus, 2005.

    Example:
        >>> metropolis_hastings(0, {1: 3, 2: 3})
        {0: 0.5, 1: 0.25, 2: 0.25}
    """
    own = len(degrees)
    weights = {other: 1.0 / (1 + max(own, degrees[other])) for other in degrees}
    weights[agent] = 1.0 - sum(weights[other] for other in sorted(degrees))
    return dict(sorted(weights.items()))


def dense(rows: Iterable[Mapping[int, float]], agents: int) -> Matrix:
    """Return rows of a mixing matrix, for agents 0..N-1 in turn, as an array ``[N, N]``."""
    matrix = np.zeros((agents, agents))
    for agent, row in enumerate(rows):
        for other, weight in row.items():
            matrix[agent, other] = weight
    return matrix


def spectral_gap(matrices: Iterable[Matrix]) -> float:
    """Return the share of disagreement that an average round of mixing removes, at worst.

    With P = W(T-1) ... W(1) W(0) the product of the matrices and J the matrix of ones, the gap is
    ``1 - ||P - J/N||_2 ** (1/T)``. For a single symmetric W that is 1 minus the second largest
    absolute eigenvalue, the usual spectral gap. It is in [0, 1]: 1 is exact agreement, 0 none at
    all (over these rounds some disagreement stays as it was).

    Args:
        matrices: the mixing matrices ``[N, N]`` of successive rounds, at least one, each doubly
            stochastic.

    Example:
        >>> import numpy as np
        >>> spectral_gap([np.full((4, 4), 0.25)])
        1.0
    """
    product: Matrix | None = None
    rounds = 0
    for matrix in matrices:
        product = matrix if product is None else _apply(matrix, product)
        rounds += 1
    if product is None:
        raise ValueError("a spectral gap needs at least one mixing matrix")
    disagreement = product - 1.0 / len(product)
    if np.array_equal(disagreement, disagreement.T):
        norm = float(np.abs(np.linalg.eigvalsh(disagreement)).max())
    else:
        norm = float(np.linalg.norm(disagreement, 2))
    return 1.0 if norm < NEGLIGIBLE else max(0.0, 1.0 - norm ** (1.0 / rounds))


def _apply(matrix: Matrix, product: Matrix) -> Matrix:
    """Return ``matrix @ product``, row by row if rows are so sparse that this is faster."""
    if np.count_nonzero(matrix) > 8 * len(matrix):
        return matrix @ product
    result = np.empty_like(product)
    for agent, row in enumerate(matrix):
        senders = np.flatnonzero(row)
        result[agent] = row[senders] @ product[senders]
    return result
