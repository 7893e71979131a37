"""Embedded texts of one split, and an agent's answers to them.

Both know their split, and answers know which texts their agent was fitted on: so that what is fitted refuses
texts that it must not see.

Legend: N texts, D embedding width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigurationError
from protocols.messages import Answer

Split = Literal["fit", "calibrate", "test", "query"]
"""Purpose of a text: fitting, calibrating thresholds, measuring, or answering for a user."""
Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Texts of a split, as one agent embeds them.

    Attributes:
        split: their purpose.
        ids: `[N]` int64, one for each text, the same for every agent.
        embeddings: `[N, D]`.
    """

    split: Split
    ids: Labels
    embeddings: NDArray[np.floating]


@dataclass(frozen=True)
class Answers:
    """Class probabilities of texts of a split, by one agent or fused from several.

    Attributes:
        split: purpose of the texts.
        ids: `[N]` int64.
        probabilities: `[N, K]` float64, rows sum to one; where the agent abstains, its best guess.
        abstains: `[N]` bool.
        in_sample: `[N]` bool, whether the agent was fitted on the text.
        origins: digests of the weights behind the answers, in order.
    """

    split: Split
    ids: Labels
    probabilities: Rows
    abstains: NDArray[np.bool_]
    in_sample: NDArray[np.bool_]
    origins: tuple[str, ...]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.probabilities.shape[1])

    def right(self, labels: Labels) -> NDArray[np.bool_]:
        """Return whether each answer is the label `[N]`; an abstention is not."""
        right: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == labels
        return right & ~self.abstains

    def payload(self, task: str, attempt: int, flops: float, seconds: float) -> Answer:
        """Return the answers as a payload, with what they cost."""
        return Answer(
            task=task,
            attempt=attempt,
            origins=self.origins,
            ids=self.ids,
            probabilities=self.probabilities.astype(np.float32),
            abstains=self.abstains.astype(np.uint8),
            in_sample=self.in_sample.astype(np.uint8),
            flops=flops,
            seconds=seconds,
        )


def received(payload: Answer, split: Split) -> Answers:
    """Return the answers in an admitted payload; the receiver knows the split of its queries."""
    rows_NK = payload.probabilities.astype(np.float64)
    return Answers(
        split,
        payload.ids,
        rows_NK / rows_NK.sum(axis=1, keepdims=True),
        payload.abstains.astype(bool),
        payload.in_sample.astype(bool),
        payload.origins,
    )


def check_evidence(answers: Sequence[Answers], labels: Labels, split: Split) -> None:
    """Check that something may be fitted to answers: out-of-fold, of the right split, about the same texts.

    Args:
        answers: those of each agent.
        labels: `[N]`.
        split: the split that is meant for it.

    Raises:
        ConfigurationError: it must not.
    """
    if not answers:
        raise ConfigurationError("there are no answers", hint="let at least one agent answer")
    for found in answers:
        if found.split != split:
            raise ConfigurationError(
                f"answers to texts of the split {found.split!r} must not be used here",
                expected=split,
                actual=found.split,
                hint="fit on fit, set thresholds on calibrate, and choose nothing on test",
            )
        if found.in_sample.any():
            raise ConfigurationError(
                "answers to texts that the agent was fitted on must not be learnt from",
                expected="out-of-fold probabilities",
                actual=f"{int(found.in_sample.sum())} of {len(found.ids)} in-sample",
                hint="take them from agents.answering.out_of_fold",
            )
        if not np.array_equal(found.ids, answers[0].ids) or found.ids.shape != labels.shape:
            raise ConfigurationError(
                "agents or labels disagree on the texts",
                expected=f"the same {len(answers[0].ids)} texts, in the same order",
                actual=f"{len(found.ids)} texts and {len(labels)} labels",
                hint="ask every agent about the same texts, and order them by id",
            )
