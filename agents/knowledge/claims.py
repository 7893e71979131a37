"""A claim: one frozen piece of knowledge, named by a digest of its content."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.messages.arrays import Array, first_not_finite
from protocols.messages.knowledge import ClaimKind
from protocols.messages.tasks import Digest
from protocols.spec import Spec

Status = Literal["candidate", "accepted", "disputed", "retracted"]
STATUSES: tuple[Status, ...] = ("candidate", "accepted", "disputed", "retracted")
LabelCount = tuple[
    Annotated[str, Field(min_length=1, max_length=256)], Annotated[float, Field(gt=0)]
]


class Claim(Spec):
    """One statement about a point of an embedding space: which labels belong there, and who says so.

    The digest names the content. It leaves the status out: a claim that is disputed is the same claim.

    Example:
        >>> claim = Claim(kind="label", embedding=np.ones(2, np.float32), frame="0" * 32,
        ...               labels=(("wine", 3.0),), sources=("agent-0",), origins=("1" * 32,))
        >>> claim.label, claim.with_status("disputed").digest == claim.digest
        ('wine', True)
    """

    kind: ClaimKind = Field(description="what the claim states")
    embedding: Annotated[NDArray[np.float32], Array("float32", "D")] = Field(
        description="the point that the claim is about"
    )
    frame: Digest = Field(description="digest of the encoder or anchors that span the space")
    labels: tuple[LabelCount, ...] = Field(
        min_length=1, max_length=4096, description="labels and the number of texts behind each"
    )
    sources: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        min_length=1, max_length=1024, description="agents that state it, sorted"
    )
    origins: tuple[Digest, ...] = Field(
        min_length=1, max_length=65536, description="digests of the texts behind it, sorted"
    )
    text: str = Field(
        default="", max_length=1 << 16, description="public text of an exemplar, or none"
    )
    valid_from: int = Field(default=0, ge=0, description="first episode in which it holds")
    valid_to: int | None = Field(
        default=None, description="first episode in which it no longer holds, or none"
    )
    status: Status = Field(default="candidate", description="how far the society trusts it")

    @model_validator(mode="after")
    def _is_canonical(self) -> Self:
        if first_not_finite(self.embedding) is not None:
            raise ValueError("the embedding holds a number that is not finite")
        names = tuple(name for name, _ in self.labels)
        for field, values in (
            ("labels", names),
            ("sources", self.sources),
            ("origins", self.origins),
        ):
            if tuple(sorted(set(values))) != values:
                raise ValueError(f"{field} must be sorted and differ")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError(f"valid_to must be after valid_from, {self.valid_from}")
        return self

    @cached_property
    def digest(self) -> str:
        """Return 32 hexadecimal digits that name the content, without the status."""
        content = self.model_dump(exclude={"embedding", "status"}, mode="json")
        head = json.dumps(content, sort_keys=True, ensure_ascii=True).encode()
        body = self.embedding.astype("<f4").tobytes()
        return hashlib.blake2b(head + b"\0" + body, digest_size=16).hexdigest()

    @property
    def label(self) -> str:
        """Return the label with the most texts; of equal ones, the first by name."""
        return min(self.labels, key=lambda item: (-item[1], item[0]))[0]

    @property
    def weight(self) -> float:
        """Return the number of texts behind all labels."""
        return float(sum(count for _, count in self.labels))

    def with_status(self, status: Status) -> Claim:
        """Return the claim with another status and the same digest."""
        return self.model_copy(update={"status": status})

    def holds_in(self, episode: int) -> bool:
        """Return whether an episode lies within the claim's validity."""
        return self.valid_from <= episode and (self.valid_to is None or episode < self.valid_to)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Claim) and (self.digest, self.status) == (
            other.digest,
            other.status,
        )

    def __hash__(self) -> int:
        return hash((self.digest, self.status))


def merged(claims: list[Claim]) -> Claim:
    """Return one claim for several of one kind and frame: origins once, embeddings by weight.

    A label count is scaled by the share of a claim's origins that no earlier claim named, so that a copy
    adds nothing. The result is independent of the order of the claims.
    """
    ordered = sorted(claims, key=lambda claim: claim.digest)
    seen: set[str] = set()
    counts: dict[str, float] = {}
    total = np.zeros(len(ordered[0].embedding), np.float64)
    for claim in ordered:
        share = len(set(claim.origins) - seen) / len(claim.origins)
        seen.update(claim.origins)
        total += share * claim.weight * claim.embedding
        for name, count in claim.labels:
            if share > 0:
                counts[name] = counts.get(name, 0.0) + share * count
    ends = [claim.valid_to for claim in ordered]
    return Claim(
        kind=ordered[0].kind,
        embedding=(total / sum(counts.values())).astype(np.float32),
        frame=ordered[0].frame,
        labels=tuple(sorted(counts.items())),
        sources=tuple(sorted({source for claim in ordered for source in claim.sources})),
        origins=tuple(sorted(seen)),
        text=min((claim.text for claim in ordered if claim.text), default=""),
        valid_from=min(claim.valid_from for claim in ordered),
        valid_to=None if None in ends else max(end for end in ends if end is not None),
        status=min((claim.status for claim in ordered), key=_PRECEDENCE.index),
    )


_PRECEDENCE: tuple[Status, ...] = ("accepted", "candidate", "disputed", "retracted")
