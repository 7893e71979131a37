"""Distillation of a society that answers together into one of its agents.

Legend: N labelled texts, M texts without labels, D embedding width, K classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.adapt import Adaptation, Head, Linear, check_examples, frame, prepared
from agents.answering.answers import Answers, Examples, Labels
from agents.answering.logistic import fit_regression
from protocols.errors import ConfigurationError


class Distil(Adaptation):
    """Logistic regression; and the cheapest agent learns, from texts without labels, what all answer.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015.
    """

    kind: Literal["distil"] = "distil"
    l2: float = Field(
        0.1, gt=0.0, le=1e6, description="Penalty of the squared weights, against a sum over texts."
    )

    def head(self, embeddings_ND: NDArray[np.floating], labels_N: Labels, classes: int) -> Head:
        """Fit weights and biases to labels, as `Linear` does."""
        return Linear(l2=self.l2).head(embeddings_ND, labels_N, classes)

    def distilled(self, known: Examples, labels: Labels, asked: Examples, answers: Answers) -> Head:
        """Fit a head to labels and to the probabilities that a society answers.

        Args:
            known: N labelled texts of the split ``fit``, as the agent embeds them.
            labels: `[N]`.
            asked: M other texts without labels.
            answers: the society's answers to these.

        Raises:
            ConfigurationError: the texts are of another split, or answers belong to other texts.
        """
        check_examples(known, labels, answers.classes)
        if not np.array_equal(asked.ids, answers.ids) or np.isin(asked.ids, known.ids).any():
            raise ConfigurationError(
                "a society cannot be distilled from these answers",
                expected=f"answers to the same {len(asked.ids)} texts, none of them labelled",
                actual=f"{len(answers.ids)} answers, {np.isin(asked.ids, known.ids).sum()} labelled",
                hint="ask the society about texts that the agent was not fitted on",
            )
        rows = np.vstack([known.embeddings, asked.embeddings])
        targets = np.vstack([np.eye(answers.classes)[labels], answers.probabilities])
        centre, scale = frame(rows)
        rows = prepared(rows, centre, scale)
        fitted = fit_regression(rows, targets, answers.classes, self.l2)
        flops = 4.0 * rows.size * answers.classes * fitted.evaluations
        seen = np.concatenate([known.ids, asked.ids])
        return Head(centre, scale, fitted.weight, fitted.bias, seen=seen, fit_flops=flops)
