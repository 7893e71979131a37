"""Settings of the knowledge that a society keeps of an episode, and of answers that draw on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentos.learning.knowledge.resolvers import RESOLVERS, Resolver
from agentos.learning.knowledge.resolvers.origin_beta import OriginBeta
from protocols.spec import Kinds, Spec

Extraction = Literal["prototypes", "exemplars"]


class Merging(Spec):
    """Conditions under which two claims of one kind and label count as one."""

    cosine: float = Field(
        0.95, gt=0.0, le=1.0, description="Least cosine of their points in the common frame."
    )
    resemblance: float = Field(
        0.8,
        gt=0.0,
        le=1.0,
        description="Least resemblance of their texts by MinHash, if they have texts.",
    )


class KnowledgeConfig(Spec):
    """Settings of the claims that an episode adds to the knowledge base.

    Example:
        >>> KnowledgeConfig.model_validate({"merge": {"cosine": 0.9}, "resolve": "majority"}).resolve.kind
        'majority'
    """

    path: str = Field(
        "knowledge",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/?$",
        max_length=100,
        description="Folder of the knowledge base, in the folder of the life.",
    )
    tables: str | None = Field(
        None,
        pattern=r"^(s3|gs|az|file)://\S+$",
        max_length=1000,
        description="Address in object storage of this base's tables alone, such as s3://bucket/life, which "
        "other machines search; null: a folder next to the log. The log stays where it is.",
    )
    extract: tuple[Extraction, ...] = Field(
        ("prototypes", "exemplars"), min_length=1, description="What agents state."
    )
    per_label: int = Field(
        16, ge=1, le=10_000, description="Exemplars that an agent states of each label, at most."
    )
    merge: Merging = Field(Merging(), description="When claims count as one.")
    resolve: Annotated[Resolver, Kinds(RESOLVERS)] = Field(
        OriginBeta(), description="How claims that contradict each other are weighed."
    )
    exemplars: int = Field(
        200,
        ge=1,
        description="Exemplars of a label that stand, at most; beyond them, the most alike are joined.",
    )
    prototypes: int = Field(
        8,
        ge=1,
        description="Prototypes of a label that stand, at most; beyond them, they are clustered.",
    )
    dimensions: int | None = Field(
        None,
        ge=2,
        description="Dimensions that claims keep of the common frame, which has one for each anchor; null: "
        "all. The share of answers that this changes is stated.",
    )
    cluster: int = Field(
        5, ge=1, description="Novel texts of an agent in a cluster, at least; with novelty."
    )


class Knn(Spec):
    """Answers by the nearest claims, mixed with those of the head.

    The weight of claims is chosen on labelled texts that are held out of training and of claims.
    """

    kind: Literal["knn"] = "knn"
    k: int = Field(16, ge=1, le=10_000, description="Nearest claims that count.")
    temperature: float = Field(0.05, gt=0.0, le=10.0, description="Divides the cosines.")
    held: float = Field(
        0.2,
        gt=0.0,
        lt=1.0,
        description="Share of the labelled texts that only choose the weight of claims.",
    )
    most: int = Field(
        100,
        ge=1,
        description="Texts of an episode that are held out for it, at most: they are kept.",
    )
