"""The part of a life's record about knowledge after an episode."""

from __future__ import annotations

from pydantic import Field

from protocols.spec import Spec


class KnowledgeRecord(Spec):
    """The size of a society's knowledge after an episode, and the changes in it."""

    records: int = Field(ge=0, description="Records of the log in force.")
    digest: str = Field(description="Digest of the state that is folded from them.")
    weight: float = Field(
        ge=0, le=1, description="Weight of claims in answers, relative to the head."
    )
    accepted_claims: int = Field(ge=0, description="Claims that stand and are accepted.")
    disputed_claims: int = Field(ge=0, description="Claims that stand and are disputed.")
    retracted_claims: int = Field(ge=0, description="Claims that were retracted.")
    stated: int = Field(0, ge=0, description="Claims that receivers admitted in this episode.")
    message_bytes: int = Field(0, ge=0, description="Bytes of their deliveries.")
    joined: int = Field(0, ge=0, description="Near duplicates that became part of another claim.")
    candidate_classes: int = Field(
        0, ge=0, description="Clusters of texts without labels that are novel to several agents."
    )
    thinned: int = Field(0, ge=0, description="Claims that another one stands for since.")
    thinning_loss: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of answers about claims' own points that thinning changed.",
    )
    dimensions: int | None = Field(
        None, description="Dimensions that claims were reduced to; null if they were not."
    )
    reduction_loss: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of answers by the episode's claims that fewer dimensions changed: about held-out "
        "texts where there are any, else about the claims' own points.",
    )
    answer_flops: int = Field(
        0,
        ge=0,
        description="Operations of comparing one text with all claims that answers draw on.",
    )
    kept_bytes: int = Field(
        0, ge=0, description="Bytes of texts kept to choose the weight of claims."
    )
    agent_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Accuracy of agents that each answer alone, a mean over them and all tests; null where "
        "answers do not draw on claims.",
    )
    agent_head_accuracy: float | None = Field(
        None, ge=0, le=1, description="The same by their heads alone."
    )
    head_accuracies: tuple[float, ...] = Field(
        (),
        description="Accuracy on the test of every episode of heads alone, where answers draw on claims.",
    )
