"""Payload of knowledge: claims that an agent states about points of an embedding space.

Shape legend: C claims, D dimensions, K labels, O origins of all claims together.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.errors import RejectedMessage
from protocols.messages.arrays import Array
from protocols.messages.payload import Index, Payload
from protocols.messages.tasks import Digest

ClaimKind = Literal["prototype", "exemplar", "label"]
CLAIM_KINDS: tuple[ClaimKind, ...] = ("prototype", "exemplar", "label")
ORIGIN_BYTES = 16
"""Bytes of an origin: the digest of a text."""


class Claims(Payload):
    """C claims in one frame: points, label counts, and the origins that each claim rests on.

    The sender of the message is their source. No text travels: an origin is the digest of one.
    """

    kind: ClassVar[str] = "claims"
    frame: Digest = Field(description="digest of the encoder or anchors that span the space")
    episode: Index = Field(description="episode from which on the claims hold")
    labels: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(
        min_length=1, max_length=4096, description="names of the labels that counts are about"
    )
    kinds: Annotated[NDArray[np.uint8], Array("uint8", "C")] = Field(
        description="kind of each claim: its place in `CLAIM_KINDS`"
    )
    embeddings: Annotated[NDArray[np.float32], Array("float32", "C", "D", coded=True)]
    counts: Annotated[NDArray[np.float32], Array("float32", "C", "K")]
    origin_counts: Annotated[NDArray[np.int32], Array("int32", "C")] = Field(
        description="number of origins of each claim"
    )
    origins: Annotated[NDArray[np.uint8], Array("uint8", "O", ORIGIN_BYTES)] = Field(
        description="origins of the first claim, then of the second, and so on"
    )

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice")
        if len(self.labels) != self.counts.shape[1]:
            raise ValueError(f"{len(self.labels)} labels for {self.counts.shape[1]} counts")
        return self

    def check_values(self, sender: int | None = None) -> None:
        """Check that kinds exist, counts are counts, and each claim has origins that differ."""
        super().check_values(sender)
        rows = self.origins.view(f"V{ORIGIN_BYTES}").reshape(-1)
        ends = np.cumsum(self.origin_counts, dtype=np.int64)
        wrong = {
            f"kinds from 0 to {len(CLAIM_KINDS) - 1}": bool(self.kinds.max() >= len(CLAIM_KINDS)),
            "counts of 0 or more, one of them above 0": bool(
                self.counts.min() < 0 or (self.counts.max(axis=1) <= 0).any()
            ),
            "at least one origin for each claim, all of them sent": bool(
                self.origin_counts.min() < 1 or ends[-1] != len(rows)
            ),
        }
        bad = next((expected for expected, broken in wrong.items() if broken), None)
        if bad is None:
            groups = np.split(rows, ends[:-1])
            if any(len({row.tobytes() for row in group}) < len(group) for group in groups):
                bad = "different origins within a claim"
        if bad is not None:
            raise RejectedMessage(
                "a claim of the message is none",
                reason="not_claims",
                sender=sender,
                expected=bad,
                actual=f"{len(self.kinds)} claims with {len(rows)} origins that break this",
                hint="let the sender build its message with agents.knowledge.sharing.message_of",
            )
