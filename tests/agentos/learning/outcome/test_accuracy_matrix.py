from __future__ import annotations

import numpy as np
import pytest

from agentos.learning.outcome.accuracy_matrix import AccuracyMatrix
from protocols.errors import ConfigurationError

# Three episodes; episode 0 falls to 0.5 after episode 1, and recovers to 0.6.
MATRIX = AccuracyMatrix(
    np.array([[0.9, 0.3, 0.2], [0.5, 0.8, 0.4], [0.6, 0.7, 1.0]]), np.array([0.1, 0.2, 0.3])
)


def test_figures_are_those_worked_out_by_hand() -> None:
    assert MATRIX.summary() == pytest.approx(
        {
            "final_accuracy": (0.6 + 0.7 + 1.0) / 3,
            "backward_transfer": ((0.6 - 0.9) + (0.7 - 0.8)) / 2,
            "forward_transfer": ((0.3 - 0.2) + (0.4 - 0.3)) / 2,
            "minimum_accuracy": (min(0.5, 0.6) + 0.7) / 2,
            "worst_case_accuracy": 1.0 / 3 + 2 / 3 * 0.6,
        }
    )


def test_one_episode_transfers_nothing() -> None:
    single = AccuracyMatrix(np.array([[0.7]]), np.array([0.1]))
    assert single.backward_transfer == single.forward_transfer == 0.0
    assert single.minimum_accuracy == single.worst_case_accuracy == 0.7


@pytest.mark.parametrize(
    ("values", "before"),
    [(np.zeros((2, 3)), np.zeros(2)), (np.full((1, 1), np.nan), np.zeros(1))],
)
def test_incomplete_matrix_is_refused(values: np.ndarray, before: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        AccuracyMatrix(values, before)
