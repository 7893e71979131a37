"""The accuracy matrix of the records of a life, whose tests may have come one after another."""

from __future__ import annotations

import numpy as np

from agentos.learning.life_records import LifeRecord
from agentos.learning.outcome.accuracy_matrix import AccuracyMatrix


def is_finished(record: LifeRecord) -> bool:
    """Return whether every episode that has come so far is finished."""
    return bool(record.episodes) and len(record.episodes) == len(record.episodes[-1].accuracies)


def matrix_of(record: LifeRecord) -> AccuracyMatrix:
    """Return the matrix of a finished life; NaN for tests that had not come yet."""
    count = len(record.episodes)
    values = np.full((count, count), np.nan)
    before = np.full(count, np.nan)
    before[: len(record.before)] = record.before
    for row, episode in zip(values, record.episodes, strict=True):
        row[: len(episode.accuracies)] = episode.accuracies
    return AccuracyMatrix(values, before)
