"""Description of a task's texts: their kind, number, classes, lengths, and repeats across its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentos.data.cleaning.config import NearDuplicates
from agentos.data.cleaning.minhash import word_hashes
from agentos.tasks.resemblance import resembling
from agentos.tasks.splits import TaskSplits
from protocols.errors import ConfigurationError

Kind = Literal["classify", "unlabelled"]


@dataclass(frozen=True)
class TextFigures:
    """Figures of a task's texts.

    Args:
        kind: ``classify`` with labels, ``unlabelled`` without.
        texts: their number.
        classes: texts of each label, the largest first; empty without labels.
        words: quantiles 0, 0.5, 0.9 and 1 of the lengths in words.
        repeats: texts that resemble another text of the same task.
        conflicts: texts that resemble one with another label.
        across: texts of one part that resemble a text of a part before it, by ``calibrate`` and ``test``.
    """

    kind: Kind
    texts: int
    classes: dict[str, int]
    words: tuple[int, int, int, int]
    repeats: int
    conflicts: int
    across: dict[str, int] = field(default_factory=dict)


def text_figures(
    texts: Sequence[str],
    labels: Sequence[str] | None = None,
    splits: TaskSplits | None = None,
    near: NearDuplicates | None = None,
) -> TextFigures:
    """Return the figures of a task's texts.

    Args:
        texts: N texts.
        labels: label of each, or None.
        splits: the parts of the task, or None before it is divided.
        near: what counts as a near duplicate.

    Raises:
        ConfigurationError: there is no text, or there are not as many labels as texts.
    """
    if not texts or (labels is not None and len(labels) != len(texts)):
        raise ConfigurationError(
            "the texts of the task cannot be analysed",
            expected="at least one text, and a label for each or none at all",
            actual=f"{len(texts)} texts, {'no' if labels is None else len(labels)} labels",
            hint="check the columns that `task.source` names",
        )
    groups = resembling(texts, near)
    sizes = np.bincount(groups)
    counts = word_hashes(list(texts))[1]
    return TextFigures(
        kind="unlabelled" if labels is None else "classify",
        texts=len(texts),
        classes=dict(Counter(labels or ()).most_common()),
        words=tuple(int(each) for each in np.quantile(counts, [0, 0.5, 0.9, 1], method="lower")),  # type: ignore[arg-type]
        repeats=int((sizes[groups] > 1).sum()),
        conflicts=0 if labels is None else _conflicts(groups, labels),
        across={} if splits is None else repeats_across_parts(groups, splits),
    )


def repeats_across_parts(groups: NDArray[np.int64], splits: TaskSplits) -> dict[str, int]:
    """Return how many texts of `calibrate` and of `test` resemble one of a part before them.

    Args:
        groups: group of near duplicates of each text.
        splits: the parts.
    """
    fit, calibrate, test = groups[splits.fit], groups[splits.calibrate], groups[splits.test]
    return {
        "calibrate": int(np.isin(calibrate, fit).sum()),
        "test": int(np.isin(test, np.concatenate([fit, calibrate])).sum()),
    }


def _conflicts(groups: NDArray[np.int64], labels: Sequence[str]) -> int:
    kinds: dict[int, set[str]] = {}
    for group, label in zip(groups.tolist(), labels, strict=True):
        kinds.setdefault(group, set()).add(label)
    return sum(len(kinds[group]) > 1 for group in groups.tolist())
