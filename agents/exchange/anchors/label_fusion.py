"""Fusion of several agents' soft labels into one.

Legend: S votes, N anchors, K classes, A audit anchors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.dawid_skene import dawid_skene
from agents.lazy_torch import F, Tensor, torch
from protocols.spec import Spec


@dataclass(frozen=True)
class Votes:
    """Classifications of the anchors by several agents.

    Attributes:
        probabilities: `[S, N, K]`, rows sum to one.
        weights: `[S]`, number of agents that each represents.
        classes: `[N]` int64, the public class of every anchor: a cluster of its text, or its label.
        audit: `[A]` int64, anchors used for measuring only; empty if a fusion measures nothing.
    """

    probabilities: Tensor
    weights: Tensor
    classes: Tensor
    audit: Tensor

    def mean(self, weights_SN: Tensor | None = None) -> Tensor:
        """Return the mean `[N, K]`, weighted by agents and by further weights `[S, N]` or `[S, 1]`."""
        shares_SN = self.weights[:, None]
        if weights_SN is not None:
            shares_SN = shares_SN * weights_SN
        shares_SN = shares_SN / shares_SN.sum(dim=0)
        return (shares_SN.unsqueeze(-1) * self.probabilities).sum(dim=0)


class LabelFusion(Spec, ABC):
    """A rule that fuses soft labels."""

    kind: str
    adds_up: ClassVar[bool] = False
    """Whether the mean of all votes suffices, so that a tree may average while messages go up."""
    reads_probabilities: ClassVar[bool] = True
    """Whether more is read of a vote than its most probable class, so that an agent can abstain."""

    @property
    def audit_share(self) -> float:
        """Share of anchors that are used for measuring only, and excluded from the loss."""
        return 0.0

    @abstractmethod
    def fuse(self, votes: Votes) -> Tensor:
        """Return fused labels `[N, K]`, rows sum to one."""


class Mean(LabelFusion):
    """Mean: average the probabilities."""

    kind: Literal["mean"] = "mean"
    adds_up: ClassVar[bool] = True

    def fuse(self, votes: Votes) -> Tensor:
        """Return the mean over agents."""
        return votes.mean()


class ERA(LabelFusion):
    """Entropy reduction (DS-FL, Itahashi et al. 2020): sharpen the mean, ``softmax(mean / temperature)``.

    Source: Itahashi et al., Distillation-Based Semi-Supervised Federated Learning for
    Communication-Efficient Collaborative Training with Non-IID Private Data, 2020.
    """

    kind: Literal["era"] = "era"
    adds_up: ClassVar[bool] = True
    temperature: float = Field(
        0.1, gt=0.0, le=10.0, description="Divides the mean probabilities; a low value sharpens."
    )

    def fuse(self, votes: Votes) -> Tensor:
        """Return the sharpened mean over agents."""
        return torch.softmax(votes.mean() / self.temperature, dim=-1)


class EntropyWeighted(LabelFusion):
    """Entropy weighting (after Sageflow, Park et al. 2021): weigh each agent by its certainty of an anchor.

    The weights are ``exp(-H / temperature)``, H the entropy of an agent's label of the anchor.

    Source: Park et al., Sageflow, 2021, for entropy as a measure of a sender's quality on public data; here
    for each anchor separately.
    """

    kind: Literal["entropy_weighted"] = "entropy_weighted"
    temperature: float = Field(
        0.5,
        ge=0.01,
        le=100.0,
        description="Divides the entropies (nats); a low one trusts only the most certain.",
    )

    def fuse(self, votes: Votes) -> Tensor:
        """Return the weighted mean over agents."""
        entropy_SN = torch.special.entr(votes.probabilities).sum(dim=-1)
        # The most certain agent has weight 1, so that no row underflows.
        least_N = entropy_SN.amin(dim=0)
        return votes.mean(torch.exp((least_N - entropy_SN) / self.temperature))


class ValidationWeighted(LabelFusion):
    """Validation weighting: weigh each agent by its accuracy on audit anchors.

    The weights are ``exp(accuracy / temperature)``. The accuracy of an agent is the share of audit anchors
    whose most probable class, by its labels, is the public class. With ``labels: true`` that is an accuracy.
    With clusters it measures how far an agent groups public texts as their words do, and favours those that
    follow the words. The audit anchors are drawn once from the run's seed, the same for all agents, and the
    loss leaves them out.
    """

    kind: Literal["validation_weighted"] = "validation_weighted"
    audit: float = Field(
        0.25, gt=0.0, le=0.5, description="Share of anchors held out to measure accuracy on."
    )
    temperature: float = Field(
        0.1, ge=0.01, le=10.0, description="Divides the accuracies; a low one trusts only the best."
    )

    @property
    def audit_share(self) -> float:
        """Share of anchors that are used for measuring only."""
        return self.audit

    def fuse(self, votes: Votes) -> Tensor:
        """Return the weighted mean over agents."""
        chosen_SA = votes.probabilities[:, votes.audit].argmax(dim=-1)
        right_SA = chosen_SA == votes.classes[votes.audit]
        accuracy_S = right_SA.to(votes.probabilities.dtype).mean(dim=1)
        return votes.mean(torch.softmax(accuracy_S / self.temperature, dim=0).unsqueeze(1))


class Majority(LabelFusion):
    """Majority vote: for each class, the share of agents that rank it first."""

    kind: Literal["majority"] = "majority"
    reads_probabilities: ClassVar[bool] = False

    def fuse(self, votes: Votes) -> Tensor:
        """Return the share of the votes for each class."""
        _, _, classes = votes.probabilities.shape
        ballots = F.one_hot(votes.probabilities.argmax(dim=-1), classes)
        chosen = Votes(
            ballots.to(votes.probabilities.dtype), votes.weights, votes.classes, votes.audit
        )
        return chosen.mean()


class DawidSkene(LabelFusion):
    """Dawid–Skene (1979): estimate classes together with each agent's confusion matrix.

    Source: Dawid and Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm,
    1979.
    """

    kind: Literal["dawid_skene"] = "dawid_skene"
    reads_probabilities: ClassVar[bool] = False
    iterations: int = Field(
        20, ge=1, description="Largest number of expectation-maximisation steps."
    )
    smoothing: float = Field(
        0.1,
        gt=0.0,
        description="Labels added to every count of a confusion; avoids certainty from few anchors.",
    )

    def fuse(self, votes: Votes) -> Tensor:
        """Return the probabilities of the classes, given the most probable class of every vote."""
        _, _, classes = votes.probabilities.shape
        chosen_SN = votes.probabilities.argmax(dim=-1).cpu().numpy()
        fused_NK = dawid_skene(chosen_SN, classes, self.iterations, self.smoothing)
        return torch.from_numpy(fused_NK.astype(np.float32)).to(votes.probabilities.device)


FUSIONS: dict[str, type[LabelFusion]] = {
    "mean": Mean,
    "era": ERA,
    "entropy_weighted": EntropyWeighted,
    "validation_weighted": ValidationWeighted,
    "majority": Majority,
    "dawid_skene": DawidSkene,
}
