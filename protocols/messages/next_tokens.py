"""The payload of decoders that write together.

Shape legend: Q texts that are being written, L tokens that are named for each, of a vocabulary of V.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.errors import RejectedMessage
from protocols.messages.arrays import Array
from protocols.messages.payload import INDEX_LIMIT, PROBABILITY_TOLERANCE, Index, Payload
from protocols.messages.tasks import (
    Amount,
    Attempt,
    Digest,
    Origins,
    QueryIds,
    TaskName,
    check_ids,
    check_origins,
)


class NextTokens(Payload):
    """Probabilities of the most probable next tokens of each text, or of all tokens where L = V.

    What the L tokens lack of 1 is spread evenly over the others. Rows are about one vocabulary: a receiver of
    another one cannot read them.
    """

    kind: ClassVar[str] = "next_tokens"
    task: TaskName
    attempt: Attempt
    origins: Origins
    vocabulary: Digest = Field(description="digest of the tokens and of their numbers")
    size: int = Field(ge=2, lt=INDEX_LIMIT, description="tokens of the vocabulary, V")
    step: Index = Field(description="tokens written since the prompt")
    ids: QueryIds
    tokens: Annotated[NDArray[np.int32], Array("int32", "Q", "L")]
    probabilities: Annotated[NDArray[np.float32], Array("float32", "Q", "L", coded=True)]
    flops: Amount = Field(description="FLOPs spent on this step")
    seconds: Amount = Field(description="seconds spent on this step")

    @model_validator(mode="after")
    def _fits_the_vocabulary(self) -> Self:
        if self.tokens.shape[1] > self.size:
            raise ValueError(f"{self.tokens.shape[1]} tokens of a vocabulary of {self.size}")
        return self

    @classmethod
    def after_decoding(cls, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip at 0, and scale rows down whose sum a codec has raised above 1."""
        with np.errstate(over="ignore", invalid="ignore"):  # hostile numbers are rejected later
            values = np.maximum(values, 0.0, out=values)
            totals = np.maximum(values.sum(axis=-1, keepdims=True), 1.0)
            np.divide(values, totals, out=values)
        return values

    def check_values(self, sender: int | None = None) -> None:
        """Check that texts, origins and each text's tokens differ, and rows are parts of distributions."""
        super().check_values(sender)
        check_ids(self.ids, sender)
        check_origins(self.origins, sender)
        ordered = np.sort(self.tokens, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]).any()
        if twice or ordered.min() < 0 or ordered.max() >= self.size:
            raise RejectedMessage(
                "tokens are repeated, or not of the vocabulary",
                reason="not_tokens",
                sender=sender,
                expected=f"different tokens from 0 to {self.size - 1} for each text",
                actual=f"{ordered.min()} to {ordered.max()}" + (", repeated" if twice else ""),
                hint="let the sender use the tokenizer that all agents of the task share",
            )
        totals = self.probabilities.sum(axis=1, dtype=np.float64)
        whole = self.tokens.shape[1] == self.size
        least = 1 - PROBABILITY_TOLERANCE if whole else 0.0
        out = (totals < least) | (totals > 1 + PROBABILITY_TOLERANCE)
        if self.probabilities.min() < 0 or out.any():
            raise RejectedMessage(
                "a row is not a part of a probability distribution",
                reason="not_probabilities",
                sender=sender,
                expected=f"numbers of 0 or more, in sum {least:g} to 1 within {PROBABILITY_TOLERANCE}",
                actual=f"least {self.probabilities.min():.6g}, "
                f"sums {totals.min():.6g} to {totals.max():.6g}",
                hint="send softmax outputs, not logits",
            )
