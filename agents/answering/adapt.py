"""Adaptation of an agent to a task: a head on its frozen embeddings.

Legend: N texts, D embedding width, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.answers import Answers, Examples, Labels, Rows
from agents.answering.logistic import fit_regression, inverse_temperature, softmax
from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

CALIBRATION_FOLDS = 5
"""Folds in which the scores are made that a temperature is fitted to."""


@dataclass(frozen=True)
class Head:
    """A classifier of embeddings: linear in their centred and scaled, or centred and normalised, form.

    Attributes:
        centre: `[D]`, subtracted first.
        scale: multiplies the centred embeddings; None makes them unit vectors.
        weight: `[D, K]`.
        bias: `[K]`.
        inverse_temperature: multiplies the scores.
        seen: `[n]` int64, ids of the texts that the head was fitted on.
        fit_flops: FLOPs that fitting took.
    """

    centre: Rows
    scale: float | None
    weight: Rows
    bias: Rows
    inverse_temperature: float = 1.0
    seen: Labels = field(default_factory=lambda: np.zeros(0, np.int64))
    fit_flops: float = 0.0

    @property
    def flops(self) -> float:
        """FLOPs of one answer, without those of the embedding."""
        width, classes = self.weight.shape
        return float(2 * width * classes + 3 * width + 5 * classes)

    def scores(self, embeddings_ND: NDArray[np.floating]) -> Rows:
        """Return scores `[N, K]`, whose softmax are the probabilities."""
        rows_ND = prepared(embeddings_ND, self.centre, self.scale)
        return (rows_ND @ self.weight + self.bias) * self.inverse_temperature

    def answer(self, examples: Examples, origin: str, abstain_below: float = 0.0) -> Answers:
        """Answer texts.

        Args:
            examples: the texts; those that the head was fitted on are marked as in-sample.
            origin: digest of the agent's weights.
            abstain_below: probability of the best class below which the agent abstains.
        """
        rows_NK = softmax(self.scores(examples.embeddings))
        abstains = rows_NK.max(axis=1) < abstain_below
        seen = np.isin(examples.ids, self.seen)
        return Answers(examples.split, examples.ids, rows_NK, abstains, seen, (origin,))


class Adaptation(Spec, ABC):
    """A way to fit a head to the labelled embeddings of an agent that stays as it is."""

    kind: str

    @abstractmethod
    def head(self, embeddings_ND: NDArray[np.floating], labels_N: Labels, classes: int) -> Head:
        """Fit a head, without its temperature."""

    def fit(self, examples: Examples, labels: Labels, classes: int, seed: int = 0) -> Head:
        """Fit a head, and its temperature to scores that are out-of-fold.

        Args:
            examples: texts of the split ``fit``.
            labels: `[N]`, from 0 to K - 1, each at least once.
            classes: K.
            seed: draws the folds.

        Raises:
            ConfigurationError: the texts are of another split, or a class has none.
        """
        counts = check_examples(examples, labels, classes)
        order = np.argsort(examples.ids)  # so that the order of the texts changes nothing
        ids, rows, labels = examples.ids[order], examples.embeddings[order], labels[order]
        whole = replace(self.head(rows, labels, classes), seen=ids)
        folds = min(CALIBRATION_FOLDS, int(counts.min()))
        if folds < 2:
            return whole
        scores_NK, flops = np.empty((len(ids), classes)), whole.fit_flops
        for fold in fold_rows(labels, folds, seed, "temperature"):
            rest = np.setdiff1d(np.arange(len(ids)), fold)
            part = self.head(rows[rest], labels[rest], classes)
            scores_NK[fold] = part.scores(rows[fold])
            flops += part.fit_flops + part.flops * len(fold)
        inverse = inverse_temperature(scores_NK, labels)
        return replace(whole, inverse_temperature=inverse, fit_flops=flops)


class Linear(Adaptation):
    """Logistic regression: multinomial, by L-BFGS, on centred embeddings of mean squared length 1."""

    kind: Literal["linear"] = "linear"
    l2: float = Field(
        0.1, gt=0.0, le=1e6, description="Penalty of the squared weights, against a sum over texts."
    )

    def head(self, embeddings_ND: NDArray[np.floating], labels_N: Labels, classes: int) -> Head:
        """Fit weights and biases; see `fit_regression`."""
        centre, scale = frame(embeddings_ND)
        rows_ND = prepared(embeddings_ND, centre, scale)
        fitted = fit_regression(rows_ND, labels_N, classes, self.l2)
        # Forward, and backward with respect to the weights.
        flops = 4.0 * rows_ND.size * classes * fitted.evaluations
        return Head(centre, scale, fitted.weight, fitted.bias, fit_flops=flops)


class Prototype(Adaptation):
    """Nearest class mean: the cosine to the mean of each class, of centred unit embeddings.

    Source: Snell et al., Prototypical Networks for Few-shot Learning, 2017.
    """

    kind: Literal["prototype"] = "prototype"

    def head(self, embeddings_ND: NDArray[np.floating], labels_N: Labels, classes: int) -> Head:
        """Average the embeddings of each class."""
        centre, _ = frame(embeddings_ND)
        rows_ND = prepared(embeddings_ND, centre, None)
        means_KD = np.eye(classes)[labels_N].T @ rows_ND
        weight = _unit(means_KD).T.copy()
        return Head(centre, None, weight, np.zeros(classes), fit_flops=4.0 * rows_ND.size)


class HeldOut(NamedTuple):
    """Answers to texts by heads that were fitted without them.

    Attributes:
        answers: to the texts, in their order.
        flops: FLOPs of fitting these heads and of their answers.
    """

    answers: Answers
    flops: float


def out_of_fold(
    adaptation: Adaptation,
    examples: Examples,
    labels: Labels,
    classes: int,
    origin: str,
    folds: int = 5,
    seed: int = 0,
) -> HeldOut:
    """Answer the texts of the split ``fit``, each by a head that was fitted without it.

    Only such answers may be learnt from: those of a head to its own examples look better than it is.

    Args:
        adaptation: how heads are fitted.
        examples: texts of the split ``fit``.
        labels: `[N]`, each class at least twice.
        classes: K.
        origin: digest of the agent's weights.
        folds: parts of the texts; one is left out at a time; fewer where a class has fewer texts.
        seed: draws the folds; the same for every agent, so that all are fitted on the same texts.

    Raises:
        ConfigurationError: the texts are of another split, or a class has too few.
    """
    counts = check_examples(examples, labels, classes, least=2)
    ids, rows = examples.ids, examples.embeddings
    rows_NK, in_sample = np.empty((len(ids), classes)), np.empty(len(ids), bool)
    order, flops = np.argsort(ids), 0.0
    for fold in fold_rows(labels[order], min(folds, int(counts.min())), seed, "out_of_fold"):
        held = order[fold]
        rest = np.setdiff1d(np.arange(len(ids)), held)
        training = Examples(examples.split, ids[rest], rows[rest])
        head = adaptation.fit(training, labels[rest], classes, seed)
        found = head.answer(Examples(examples.split, ids[held], rows[held]), origin)
        rows_NK[held], in_sample[held] = found.probabilities, found.in_sample
        flops += head.fit_flops + head.flops * len(held)
    nowhere = np.zeros(len(ids), bool)
    answers = Answers(examples.split, ids, rows_NK, nowhere, in_sample, (origin,))
    return HeldOut(answers, flops)


def fold_rows(labels_N: Labels, folds: int, seed: int, purpose: str) -> list[Labels]:
    """Return the rows of each fold: of every class as many in each, but for one."""
    fold_N = np.empty(len(labels_N), np.int64)
    start = 0
    for label in np.unique(labels_N):
        rows = np.flatnonzero(labels_N == label)
        shuffled = generator(seed, "answering", purpose, int(label)).permutation(rows)
        fold_N[shuffled] = (start + np.arange(len(rows))) % folds
        start += len(rows)  # the next class goes on where this one ended: folds of like size
    return [np.flatnonzero(fold_N == fold) for fold in range(folds)]


def check_examples(examples: Examples, labels: Labels, classes: int, least: int = 1) -> Labels:
    """Return the number of texts of each class `[K]`.

    Raises:
        ConfigurationError: the texts are not of the split ``fit``, or a class has fewer than `least`.
    """
    if examples.split != "fit":
        raise ConfigurationError(
            f"a head must not be fitted to the split {examples.split!r}",
            expected="fit",
            actual=examples.split,
            hint="fit heads on fit; calibrate and test only measure them",
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ConfigurationError(
            "a label is not a class",
            expected=f"labels from 0 to {classes - 1}",
            actual=f"{labels.min()} to {labels.max()}",
            hint="number the classes from 0",
        )
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < least:
        raise ConfigurationError(
            f"class {int(counts.argmin())} has too few texts to fit on",
            expected=f"at least {least}",
            actual=int(counts.min()),
            hint="label more texts, or leave the class out of the task",
        )
    return counts


def prepared(embeddings_ND: NDArray[np.floating], centre: Rows, scale: float | None) -> Rows:
    """Return embeddings centred, and scaled or, without a scale, made unit vectors."""
    rows_ND = embeddings_ND.astype(np.float64) - centre
    return _unit(rows_ND) if scale is None else rows_ND * scale


def frame(embeddings_ND: NDArray[np.floating]) -> tuple[Rows, float]:
    """Return the mean `[D]`, and the factor that makes the mean squared length of the rest 1."""
    rows_ND = embeddings_ND.astype(np.float64)
    centre = rows_ND.mean(axis=0)
    mean_square = np.square(rows_ND - centre).sum(axis=1).mean()
    return centre, float(1 / np.sqrt(mean_square)) if mean_square > 0 else 1.0


def _unit(rows_ND: Rows) -> Rows:
    lengths = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return rows_ND / np.where(lengths > 0, lengths, 1.0)
