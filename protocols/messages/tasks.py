"""Payloads of tasks: work is announced, bid for, assigned, answered, escalated and decided.

Under a master, `Announcement`, `Bid` and `Assignment` go out and back before the first `Answer`. Peers send
each other `Answer`. In layers, `Escalation` goes up with what a level leaves to the next one, and `Verdict`
comes down.

Shape legend: Q queries (the texts of a task that a message is about), K classes, L candidates, D dimensions.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.errors import RejectedMessage
from protocols.messages.arrays import Array
from protocols.messages.payload import (
    INDEX_LIMIT,
    PROBABILITY_TOLERANCE,
    Index,
    Payload,
    check_rows,
    distributions,
)

MOST_ORIGINS = 1024
"""Most sources that a message may name."""

TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]{1,64}$", description="name of the task")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16,128}$")]
Origins = Annotated[
    tuple[Digest, ...],
    Field(min_length=1, max_length=MOST_ORIGINS, description="digests of the weights behind it"),
]
Classes = Annotated[int, Field(ge=2, lt=INDEX_LIMIT, description="number of classes")]
Attempt = Annotated[
    Index, Field(description="number of the assignment, which grows when work is given away again")
]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0, le=2.0**100)]  # bounded, so that sums of amounts are finite
QueryIds = Annotated[NDArray[np.int64], Array("int64", "Q")]


class Announcement(Payload):
    """A task that is open to bids, its size, and the least accuracy that is accepted."""

    kind: ClassVar[str] = "announcement"
    task: TaskName
    classes: Classes
    queries: int = Field(ge=1, lt=INDEX_LIMIT, description="texts to answer")
    tokens: Amount = Field(description="tokens in all these texts")
    floor: Share = Field(description="accuracy below which an agent gets none of the task")


class Bid(Payload):
    """An agent's offer for an announced task: how well, how soon and at which cost it would answer."""

    kind: ClassVar[str] = "bid"
    task: TaskName
    origins: Origins
    accuracy: Share = Field(
        description="out-of-fold accuracy on the texts that the agent was fitted on"
    )
    examples: int = Field(
        ge=1, lt=INDEX_LIMIT, description="texts that the accuracy was measured on"
    )
    ready_s: Amount = Field(description="seconds until the agent is free")
    seconds: Amount = Field(description="seconds that the whole task would take it")
    flops: Amount = Field(description="FLOPs that the whole task would take it")

    def check_values(self, sender: int | None = None) -> None:
        """Check that the origins differ."""
        check_origins(self.origins, sender)


class Assignment(Payload):
    """Queries of a task that the receiver shall answer, and when."""

    kind: ClassVar[str] = "assignment"
    task: TaskName
    attempt: Attempt
    ids: QueryIds
    start_s: Amount = Field(description="planned start, in seconds since the task began")
    deadline_s: Amount = Field(description="time after which the work is given to another agent")

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.deadline_s <= self.start_s:
            raise ValueError(f"deadline_s must be after start_s, {self.start_s}")
        return self

    def check_values(self, sender: int | None = None) -> None:
        """Check that the queries differ."""
        check_ids(self.ids, sender)


class Answer(Payload):
    """Class probabilities of queries, where the sender abstains, and what the answers cost.

    Probabilities of texts that the sender's head was fitted on are marked as in-sample: they look better than
    the agent is, and a receiver must not fit a fusion or a deferral to them.
    """

    kind: ClassVar[str] = "answer"
    task: TaskName
    attempt: Attempt
    origins: Origins
    ids: QueryIds
    probabilities: Annotated[NDArray[np.float32], Array("float32", "Q", "K", coded=True)]
    abstains: Annotated[NDArray[np.uint8], Array("uint8", "Q")] = Field(description="1 or 0")
    in_sample: Annotated[NDArray[np.uint8], Array("uint8", "Q")] = Field(description="1 or 0")
    flops: Amount = Field(
        description="FLOPs spent on these answers, those of every agent behind them"
    )
    seconds: Amount = Field(description="seconds spent on these answers")

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make rows distributions again; a row of zeros stays, to be rejected."""
        return distributions(values)

    def check_values(self, sender: int | None = None) -> None:
        """Check that queries differ, origins too, rows are distributions, and marks are 0 or 1."""
        super().check_values(sender)
        check_ids(self.ids, sender)
        check_origins(self.origins, sender)
        check_rows(self.probabilities, "answers", sender)
        for name in ("abstains", "in_sample"):
            if (most := getattr(self, name).max()) > 1:
                _reject("not_marks", f"marks of {name} are not 0 or 1", "0 or 1", most, sender)


class RankedAnswer(Payload):
    """Scores of L candidates of each query, such as the documents that a search over a shard found.

    Scores are comparable within a message, not between senders of unlike encoders.
    """

    kind: ClassVar[str] = "ranked_answer"
    task: TaskName
    attempt: Attempt
    origins: Origins
    ids: QueryIds
    candidates: Annotated[NDArray[np.int64], Array("int64", "Q", "L")]
    scores: Annotated[NDArray[np.float32], Array("float32", "Q", "L", coded=True)]
    flops: Amount = Field(
        description="FLOPs spent on these answers, those of every agent behind them"
    )
    seconds: Amount = Field(description="seconds spent on these answers")

    def check_values(self, sender: int | None = None) -> None:
        """Check that scores are finite, queries and origins differ, and each query's candidates too."""
        super().check_values(sender)
        check_ids(self.ids, sender)
        check_origins(self.origins, sender)
        ordered = np.sort(self.candidates, axis=1)
        wrong = (ordered[:, 0] < 0) | (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            given = f"{self.candidates[row][:8].tolist()} for query {self.ids[row]}"
            wanted = "different candidates of 0 or more for each query"
            _reject("not_candidates", "candidates are negative or repeated", wanted, given, sender)


class Escalation(Payload):
    """Queries that the sender leaves to the next level, with its embeddings of them.

    The next level finds their text by id. Where it cannot, `texts` holds the text itself; it stays empty
    unless `shares_text` is set. A header bounds their length: 1 MiB in one message.
    """

    kind: ClassVar[str] = "escalation"
    task: TaskName
    attempt: Attempt
    ids: QueryIds
    embeddings: Annotated[NDArray[np.float32], Array("float32", "Q", "D", coded=True)]
    shares_text: bool = Field(default=False, description="whether the text itself is sent too")
    texts: tuple[str, ...] = Field(default=(), description="the text of each query, in order")

    @model_validator(mode="after")
    def _text_is_switched_on_by_name(self) -> Self:
        if self.texts and not self.shares_text:
            raise ValueError("texts are sent only with shares_text: true")
        if self.shares_text and len(self.texts) != len(self.ids):
            raise ValueError(f"{len(self.texts)} texts for {len(self.ids)} ids")
        return self

    def check_values(self, sender: int | None = None) -> None:
        """Check that the numbers are finite and the queries differ."""
        super().check_values(sender)
        check_ids(self.ids, sender)


class Verdict(Payload):
    """The decided class of each query and its probability; queries that are still open are not in it."""

    kind: ClassVar[str] = "verdict"
    task: TaskName
    origins: Origins
    classes: Classes
    ids: QueryIds
    decided: Annotated[NDArray[np.int32], Array("int32", "Q")]
    confidences: Annotated[NDArray[np.float32], Array("float32", "Q")]

    def check_values(self, sender: int | None = None) -> None:
        """Check that queries and origins differ, classes exist, and confidences are probabilities."""
        super().check_values(sender)
        check_ids(self.ids, sender)
        check_origins(self.origins, sender)
        if self.decided.min() < 0 or self.decided.max() >= self.classes:
            wanted = f"classes from 0 to {self.classes - 1}"
            given = f"{self.decided.min()} to {self.decided.max()}"
            _reject("not_classes", "a decided class does not exist", wanted, given, sender)
        if self.confidences.min() < 0 or self.confidences.max() > 1 + PROBABILITY_TOLERANCE:
            given = f"{self.confidences.min():.6g} to {self.confidences.max():.6g}"
            _reject("not_probabilities", "a confidence is not one", "0 to 1", given, sender)


def check_ids(ids: NDArray[np.int64], sender: int | None) -> None:
    """Check that ids `[Q]` are at least 0 and differ.

    Raises:
        RejectedMessage: they do not.
    """
    ordered = np.sort(ids)
    if ordered[0] < 0 or (ordered[1:] == ordered[:-1]).any():
        _reject(
            "not_ids", "ids are negative or repeated", "different ids", ids[:8].tolist(), sender
        )


def check_origins(origins: tuple[str, ...], sender: int | None) -> None:
    """Check that a message names each origin once.

    Raises:
        RejectedMessage: one stands twice.
    """
    if len(set(origins)) < len(origins):
        given = f"{len(origins)}, {len(set(origins))} of them different"
        _reject("not_origins", "an origin stands twice", "different origins", given, sender)


def _reject(reason: str, message: str, expected: str, actual: Any, sender: int | None) -> None:
    raise RejectedMessage(
        message,
        reason=reason,
        sender=sender,
        expected=expected,
        actual=actual,
        hint="let the sender build its message from the assignment that it received",
    )
