"""Probabilities of labels for texts that the classifier was not fitted on.

Shapes: N texts, D embedding width, C classes, F folds.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigurationError
from protocols.seeding import generator

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]
FOLDS = 5


class OutOfFold(NamedTuple):
    """Probabilities of each text's labels, from classifiers that were fitted on other folds.

    Attributes:
        probabilities: `[N, C]`, from the embeddings.
        priors: `[N, C]`, shares of the labels in the folds that were fitted on, which know no text.
    """

    probabilities: Probabilities
    priors: Probabilities


def fold_of(
    labels: Labels, folds: int, seed: int, groups: Labels | None = None
) -> NDArray[np.int64]:
    """Return the fold of each text: every label spread evenly, groups whole.

    Args:
        labels: `[N]`, codes from 0.
        folds: F, how many there are.
        seed: the run's seed.
        groups: `[N]`, texts with equal numbers stay in one fold; None for each by itself.

    Raises:
        ConfigurationError: there are fewer than two labels, or fewer texts than folds.
    """
    if len(np.unique(labels)) < 2 or len(labels) < folds:
        raise ConfigurationError(
            "the labelled texts cannot be divided into folds",
            expected=f"two labels or more, and {folds} texts or more",
            actual=f"{len(np.unique(labels))} labels, {len(labels)} texts",
            hint="give more labelled texts",
        )
    groups = np.arange(len(labels)) if groups is None else groups
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    fold_of_group = np.empty(len(first), dtype=np.int64)
    dealt = 0
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[first] == label)
        order = generator(seed, "folds", int(label)).permutation(mine)
        # One deal after the other, so that small labels do not all begin with the first fold.
        fold_of_group[order] = (dealt + np.arange(len(order))) % folds
        dealt += len(order)
    found: NDArray[np.int64] = fold_of_group[group_of]
    return found


def out_of_fold(
    embeddings: NDArray[np.floating],
    labels: Labels,
    seed: int,
    folds: int = FOLDS,
    groups: Labels | None = None,
) -> OutOfFold:
    """Fit a logistic regression on all folds but one, and ask it about that one, for each fold.

    Features are standardised on the folds that are fitted on. A label that these lack has probability 0.

    Args:
        embeddings: `[N, D]`.
        labels: `[N]`, codes from 0 to C - 1.
        seed: the run's seed.
        folds: F, how many there are.
        groups: `[N]`, texts with equal numbers stay in one fold; None for each by itself.

    Raises:
        ConfigurationError: there are fewer than two labels, or too few texts.
    """
    check_rows(embeddings, labels)
    folds = min(folds, len(labels))
    fold = fold_of(labels, folds, seed, groups)
    classes = int(labels.max()) + 1
    probabilities, priors = np.zeros((2, len(labels), classes))
    for number in np.unique(fold):
        inside, outside = fold == number, fold != number
        priors[inside] = np.bincount(labels[outside], minlength=classes) / outside.sum()
        known, found = _fit(embeddings[outside], labels[outside], embeddings[inside])
        probabilities[np.ix_(inside, known)] = found
    return OutOfFold(probabilities, priors)


def check_rows(embeddings: NDArray[np.floating], labels: Labels) -> None:
    """Refuse embeddings that do not go with the labels, or are not finite.

    Raises:
        ConfigurationError: there is not one finite row for each label.
    """
    if embeddings.ndim != 2 or len(embeddings) != len(labels) or not np.isfinite(embeddings).all():
        raise ConfigurationError(
            "the embeddings do not fit the labels",
            expected=f"finite numbers of shape [{len(labels)}, width]",
            actual=f"shape {list(embeddings.shape)}, "
            f"{int((~np.isfinite(embeddings)).sum())} numbers that are not finite",
            hint="embed each labelled text once, in the order of the labels",
        )


def _fit(
    train_ND: NDArray[np.floating], labels: Labels, asked_ND: NDArray[np.floating]
) -> tuple[Labels, Probabilities]:
    """Return the labels that the classifier knows, and their probabilities for the texts asked about."""
    # Not at the top: reading a configuration imports this module.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) == 1:
        return labels[:1], np.ones((len(asked_ND), 1))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # accuracy does not change any more
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        model.fit(train_ND.astype(np.float64), labels)
    return model.classes_, model.predict_proba(asked_ND.astype(np.float64))
