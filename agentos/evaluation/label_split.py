"""Labelled documents, split into a training and a test part."""

from __future__ import annotations

from dataclasses import dataclass

from agentos.evaluation.base import HeldOut, too_few
from protocols.errors import ConfigurationError
from protocols.seeding import generator


@dataclass(frozen=True)
class Split:
    """Labelled documents to fit on, and others to test on."""

    train_texts: list[str]
    train_labels: list[str]
    test_texts: list[str]
    test_labels: list[str]


def split_by_label(heldout: HeldOut, train_fraction: float, limit: int, seed: int) -> Split:
    """Split labelled documents, stratified by label.

    Labels of a single document are left out. Beyond `limit` documents every label is subsampled in
    proportion, but never below one document in each part.

    Example:
        >>> split = split_by_label(HeldOut(tuple("abcdef"), tuple("xxxxyy")), 0.5, 100, seed=0)
        >>> split.train_labels, split.test_labels
        (['x', 'x', 'y'], ['x', 'x', 'y'])
    """
    members = _by_label(heldout)
    keep = min(1.0, limit / sum(len(rows) for rows in members.values()))
    split = Split([], [], [], [])
    for label, rows in members.items():
        # Seeded by label, so that the documents of one label do not change the draw of another.
        order = generator(seed, "evaluation", "split", label).permutation(rows)
        order = order[: max(2, int(keep * len(rows)))]
        cut = min(max(1, round(train_fraction * len(order))), len(order) - 1)
        split.train_texts.extend(heldout.texts[i] for i in order[:cut])
        split.train_labels.extend([label] * cut)
        split.test_texts.extend(heldout.texts[i] for i in order[cut:])
        split.test_labels.extend([label] * (len(order) - cut))
    return split


def check_labels(kind: str, heldout: HeldOut) -> None:
    """Refuse held-out text in which fewer than two labels can be split by `split_by_label`.

    Raises:
        ConfigurationError: labels are missing, or fewer than two have two documents each.
    """
    if heldout.labels is None:
        raise ConfigurationError(
            f"The evaluation task {kind!r} needs labels, and the held-out documents have none",
            expected="a label per document",
            actual="no labels",
            hint=f"name the label column in data.source, or take {kind} out of evaluation.tasks",
        )
    found = len(_by_label(heldout))
    if found < 2:
        raise too_few(kind, 2, found, "labels with two documents each")


def _by_label(heldout: HeldOut) -> dict[str, list[int]]:
    """Map each label of at least two documents to their indices, labels sorted."""
    members: dict[str, list[int]] = {}
    for i, label in enumerate(heldout.labels or ()):
        members.setdefault(label, []).append(i)
    return {label: rows for label, rows in sorted(members.items()) if len(rows) >= 2}
