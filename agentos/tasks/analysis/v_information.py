r"""Usable information of a text about its label, for a model, in bits.

Pointwise V-information is \(\log_2 p(y \mid x) - \log_2 p(y \mid \varnothing)\): the model that reads the
text compared with the one that knows only how frequent labels are, both fitted on other texts. It is negative
for texts that mislead the model, and its mean over texts is the V-information.

Source: Ethayarajh et al., Understanding Dataset Difficulty with V-Usable Information, 2022.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.out_of_fold import OutOfFold

LEAST = 1e-6
"""Probabilities below it count as it: one certain mistake must not make the mean infinite."""


def pointwise_v_information(answers: OutOfFold, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `[N]`, in bits.

    Args:
        answers: out-of-fold probabilities.
        labels: `[N]`, codes from 0.
    """
    rows = np.arange(len(labels))
    read, unread = answers.probabilities[rows, labels], answers.priors[rows, labels]
    bits: NDArray[np.float64] = np.log2(np.maximum(read, LEAST)) - np.log2(
        np.maximum(unread, LEAST)
    )
    return bits
