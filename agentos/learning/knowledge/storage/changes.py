"""Changes of a knowledge base: the typed records of its log."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, model_validator
from typing_extensions import Self

from agents.knowledge.claims import Claim, Status
from protocols.messages.tasks import Digest
from protocols.spec import Spec


class Added(Spec):
    """A claim that was not there before."""

    kind: Literal["added"] = "added"
    claim: Claim = Field(description="the claim, with the status that it begins with")


class Moved(Spec):
    """A claim that gets another status, and why."""

    kind: Literal["moved"] = "moved"
    digest: Digest = Field(description="the claim")
    status: Status = Field(description="its new status")
    reason: str = Field(min_length=1, max_length=2000, description="why, for a reader")
    by: tuple[Digest, ...] = Field(default=(), description="origins that asked for it")


class Joined(Spec):
    """Near duplicates that become one claim; the parts stay, for `why` to show."""

    kind: Literal["joined"] = "joined"
    parts: tuple[Digest, ...] = Field(min_length=2, description="the claims that were merged")
    whole: Claim = Field(description="the claim that stands for them")


class Weighed(Spec):
    """A conflict that was resolved: what a claim was weighed against, and how much each side counted."""

    kind: Literal["weighed"] = "weighed"
    digest: Digest = Field(description="the claim")
    rivals: tuple[Digest, ...] = Field(description="the claims that contradict it")
    weights: dict[str, float] = Field(description="trust in each source")
    shares: dict[str, float] = Field(description="probability of each label after weighing")
    resolver: str = Field(description="kind of the resolver")


class RolledBack(Spec):
    """The state is again what it was after the first records of the log."""

    kind: Literal["rolled_back"] = "rolled_back"
    records: int = Field(ge=0, description="records of the log that count")


class Marked(Spec):
    """A name for this point of the log, such as the end of an episode."""

    kind: Literal["marked"] = "marked"
    name: str = Field(min_length=1, max_length=200, description="name of the point")


class Reduced(Spec):
    """Fewer dimensions for the claims of a frame from here on."""

    kind: Literal["reduced"] = "reduced"
    frame: Digest = Field(description="the frame of the points that are projected")
    dimensions: int = Field(ge=1, le=65536, description="dimensions that are kept")
    basis: str = Field(
        max_length=1 << 26,
        description="rows of length 1 that points are projected on: base64 of little-endian float32",
    )

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        size = len(base64.b64decode(self.basis, validate=True))
        if not size or size % (4 * self.dimensions):
            raise ValueError(f"a basis of {size} bytes has no {self.dimensions} rows of float32")
        return self


Change = Annotated[
    Added | Moved | Joined | Weighed | RolledBack | Marked | Reduced, Field(discriminator="kind")
]
_CHANGE: TypeAdapter[Change] = TypeAdapter(Change)


def to_json(change: Change) -> dict[str, Any]:
    """Return a change as values that JSON can hold; embeddings are base64 of little-endian float32."""
    fields = {name: getattr(change, name) for name in type(change).model_fields}
    return {
        name: claim_to_json(value) if isinstance(value, Claim) else value
        for name, value in fields.items()
    }


def from_json(values: dict[str, Any]) -> Change:
    """Return the change that `to_json` wrote.

    Raises:
        ValueError: it wrote no such thing.
    """
    claims = {name: claim_from_json(values[name]) for name in ("claim", "whole") if name in values}
    return _CHANGE.validate_python({**values, **claims})


def claim_to_json(claim: Claim) -> dict[str, Any]:
    """Return a claim as values that JSON can hold."""
    fields = claim.model_dump(exclude={"embedding"}, mode="json")
    encoded = base64.b64encode(claim.embedding.astype("<f4").tobytes()).decode("ascii")
    return {**fields, "embedding": encoded}


def claim_from_json(values: Any) -> Claim:
    """Return the claim that `claim_to_json` wrote.

    Raises:
        ValueError: it wrote no such thing.
    """
    if not isinstance(values, dict) or not isinstance(values.get("embedding"), str):
        raise ValueError("a claim is an object with an embedding in base64")
    data = base64.b64decode(values["embedding"], validate=True)
    point = np.frombuffer(data, "<f4").astype(np.float32)
    return Claim.model_validate({**values, "embedding": point})
