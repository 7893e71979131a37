"""Payloads of representations: embeddings, labels, rankings and statistics of texts.

Shape legend: V views, B private texts, N anchors, D dimensions, K prototypes or classes, L entries of a list,
S agents that one sender stands for. Only anchors are called N: see `Payload.of_other_anchors`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import Self

from protocols.errors import RejectedMessage
from protocols.messages.arrays import Array
from protocols.messages.payload import (
    PROBABILITY_TOLERANCE,
    Index,
    Payload,
    Weight,
    check_rows,
    distributions,
)


class Embeddings(Payload):
    """The sender's embeddings of V views of each of N public anchors."""

    kind: ClassVar[str] = "embeddings"
    values: Annotated[NDArray[np.float32], Array("float32", "V", "N", "D", coded=True)]


class SimilarityTargets(Payload):
    """For each of N public anchors, a probability distribution over the others by similarity."""

    kind: ClassVar[str] = "similarity_targets"
    values: Annotated[NDArray[np.float32], Array("float32", "N", "N", coded=True)]
    weight: Weight = Field(description="share in an average, relative to the other senders")

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions over the other anchors again."""
        if values.shape[0] == values.shape[1]:
            np.fill_diagonal(values, 0.0)
        return distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that every row is a probability distribution over the other anchors."""
        super().check_values(sender)
        check_rows(self.values, "similarities", sender)
        own = self.values.diagonal()
        if own.max() > PROBABILITY_TOLERANCE:
            raise RejectedMessage(
                "an anchor has a similarity to itself",
                reason="not_probabilities",
                sender=sender,
                expected="a diagonal of 0",
                actual=f"{own.max():.6g} at values[{own.argmax()}, {own.argmax()}]",
                hint="mask the diagonal before the softmax",
            )


class Prototypes(Payload):
    """K cluster centres, and the number of texts in each cluster."""

    kind: ClassVar[str] = "prototypes"
    values: Annotated[NDArray[np.float32], Array("float32", "K", "D", coded=True)]
    counts: Annotated[NDArray[np.float32], Array("float32", "K")]

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and the counts not negative."""
        super().check_values(sender)
        if self.counts.min() < 0:
            raise RejectedMessage(
                "a prototype's count is negative",
                reason="not_counts",
                sender=sender,
                expected="counts of 0 or more",
                actual=f"{self.counts.min()} at counts[{self.counts.argmin()}]",
                hint="send the number of texts, or the total weight, behind each prototype",
            )


class Statistics(Payload):
    """First and second moments of the sender's embeddings of V views of private texts: means over texts."""

    kind: ClassVar[str] = "statistics"
    means: Annotated[NDArray[np.float32], Array("float32", "V", "D")]
    squares: Annotated[NDArray[np.float32], Array("float32", "V", "D")]
    products: Annotated[NDArray[np.float32], Array("float32", "D", "D")] = Field(
        description="of each dimension of the first view with each of the second"
    )
    weight: Weight = Field(description="number of texts")

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and the squares not negative."""
        super().check_values(sender)
        if self.squares.min() < 0:
            raise RejectedMessage(
                "a mean of squares is negative",
                reason="not_moments",
                sender=sender,
                expected="means of squares of 0 or more",
                actual=str(self.squares.min()),
                hint="send the mean over texts of the square of each number",
            )


class PrivateEmbeddings(Payload):
    """The sender's embeddings of V views of each of B private texts.

    Text can be reconstructed from its embedding, so these have their own kind, which the ledger names.
    """

    kind: ClassVar[str] = "private_embeddings"
    values: Annotated[NDArray[np.float32], Array("float32", "V", "B", "D", coded=True)]
    batch: Index = Field(description="number of the sender's batch")


class EmbeddingGradients(Payload):
    """The gradient of the sender's loss with respect to embeddings that the receiver sent it."""

    kind: ClassVar[str] = "embedding_gradients"
    values: Annotated[NDArray[np.float32], Array("float32", "V", "B", "D")]
    batch: Index = Field(description="number of the receiver's batch")


class PseudoLabels(Payload):
    """Class probabilities (not logits) of each of N public anchors."""

    kind: ClassVar[str] = "pseudo_labels"
    probabilities: Annotated[NDArray[np.float32], Array("float32", "N", "K", coded=True)]
    weight: Weight = Field(description="share in an average, relative to the other senders")

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions again; a row of zeros stays, to be rejected."""
        return distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and every row is a probability distribution."""
        super().check_values(sender)
        check_rows(self.probabilities, "pseudo-labels", sender)


class LabelVotes(Payload):
    """Class probabilities of each of N public anchors by each of S agents, not averaged."""

    kind: ClassVar[str] = "label_votes"
    probabilities: Annotated[NDArray[np.float32], Array("float32", "S", "N", "K", coded=True)]

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions again; a row of zeros stays, to be rejected."""
        return distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and every row is a probability distribution."""
        super().check_values(sender)
        rows = self.probabilities.reshape(-1, self.probabilities.shape[-1])
        check_rows(rows, "label votes", sender)


class Logits(Payload):
    """Class scores (not probabilities) of each of N public anchors."""

    kind: ClassVar[str] = "logits"
    values: Annotated[NDArray[np.float32], Array("float32", "N", "K", coded=True)]
    weight: Weight = Field(description="share in an average, relative to the other senders")


class Rankings(Payload):
    """For each of N public anchors, the L most similar anchors according to each of S agents.

    Scores are relative within a list, not cosines. The agreement of a list, from 0 to 1, is that of the
    agents that it was fused from; an agent agrees with itself.
    """

    kind: ClassVar[str] = "rankings"
    scores: Annotated[NDArray[np.float32], Array("float32", "S", "N", "L", coded=True)]
    ids: Annotated[NDArray[np.int32], Array("int32", "S", "N", "L")]
    agreement: Annotated[NDArray[np.float32], Array("float32", "S", "N")]

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make lists distributions again; a list of zeros stays, to be rejected."""
        return distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that every list names other anchors, each once, and scores at least one above 0."""
        super().check_values(sender)
        _, anchors, length = self.ids.shape
        flat = np.sort(self.ids, axis=-1)
        own = np.arange(anchors, dtype=np.int32)[:, None]
        wrong = {
            f"ids from 0 to {anchors - 1}": (flat[..., 0] < 0) | (flat[..., -1] >= anchors),
            "ids that differ": (flat[..., 1:] == flat[..., :-1]).any(axis=-1),
            "ids of other anchors": (self.ids == own).any(axis=-1),
            "scores of 0 or more": self.scores.min(axis=-1) < 0,
            "a score above 0": self.scores.max(axis=-1) <= 0,
            "an agreement from 0 to 1": (self.agreement < 0) | (self.agreement > 1),
        }
        for expected, rows in wrong.items():
            if rows.any():
                agent, anchor = np.argwhere(rows)[0]
                raise RejectedMessage(
                    "a list is not a ranking",
                    reason="not_rankings",
                    sender=sender,
                    expected=expected,
                    actual=f"list {anchor} of agent {agent} of {length}: "
                    f"ids {self.ids[agent, anchor][:8].tolist()}",
                    hint="send the nearest other anchors, and the softmax of their cosines",
                )

    def of_other_anchors(self, order: NDArray[np.int64]) -> Self:
        """Return the lists of other anchors in the places of these; ids in them are renamed alike."""
        moved = super().of_other_anchors(order)
        renamed: NDArray[np.int32] = np.argsort(order).astype(np.int32)[moved.ids]
        return type(self)(scores=moved.scores, ids=renamed, agreement=moved.agreement)
