"""Learners: objectives and exchanges that keep a society from forgetting, added to those of its run."""

from __future__ import annotations

from abc import ABC
from typing import Literal

from pydantic import Field

from agents.continual import DER, ER, EWC, Merge, Retention
from agents.continual.text_memory import MemoryConfig
from agents.exchange import Exchange
from agents.exchange.anchors.anchor_recall import AnchorRecall
from agents.exchange.hybrid import Hybrid
from protocols.spec import Spec


class Learner(Spec, ABC):
    """A way to learn an episode; by default as if there had been none before."""

    kind: str

    @property
    def trains(self) -> bool:
        """Return whether encoders learn after the first episode."""
        return True

    def retention(self) -> Retention | None:
        """Return the objective that keeps what was learnt; None for none."""
        return None

    def exchange(self, of_run: Exchange) -> Exchange:
        """Return the exchange of an episode after the first, given that of the run."""
        return of_run


class Plain(Learner):
    """None: fine-tuning on one episode after another, the lower bound of every comparison."""

    kind: Literal["none"] = "none"


class Frozen(Learner):
    """Frozen encoders, as the first episode left them: with the head ridge, a floor that never forgets."""

    kind: Literal["frozen"] = "frozen"

    @property
    def trains(self) -> bool:
        """Return False."""
        return False


class Replay(Learner):
    """ER: stored texts of earlier episodes along with the new ones; see `agents.continual.er`."""

    kind: Literal["er"] = "er"
    replay: MemoryConfig = Field(MemoryConfig(), description="The memory of each agent.")
    drawn: int = Field(16, ge=1, description="Stored texts in a step, at most.")
    weight: float = Field(1.0, gt=0.0, description="Factor in the total loss.")

    def retention(self) -> Retention:
        """Return experience replay."""
        return ER(replay=self.replay, drawn=self.drawn, weight=self.weight)


class DarkReplay(Learner):
    """DER++: stored texts with the scores that they had; see `agents.continual.der`."""

    kind: Literal["der"] = "der"
    replay: MemoryConfig = Field(MemoryConfig(), description="The memory of each agent.")
    drawn: int = Field(16, ge=1, description="Stored texts in a step for each of the two losses.")
    alpha: float = Field(0.5, ge=0.0, description="Factor of the error of scores.")
    beta: float = Field(0.5, ge=0.0, description="Factor of the classification.")

    def retention(self) -> Retention:
        """Return dark experience replay."""
        return DER(replay=self.replay, drawn=self.drawn, alpha=self.alpha, beta=self.beta)


class ElasticWeights(Learner):
    """EWC: parameters that mattered stay near where they were; see `agents.continual.ewc`."""

    kind: Literal["ewc"] = "ewc"
    strength: float = Field(1000.0, gt=0.0, description="Factor of the penalty.")
    decay: float = Field(
        1.0, ge=0.0, le=1.0, description="Factor of the importance of earlier episodes."
    )

    def retention(self) -> Retention:
        """Return elastic weight consolidation."""
        return EWC(strength=self.strength, decay=self.decay)


class LargestChange(Learner):
    """MagMax: merging by the largest magnitude; see `agents.continual.largest_change`."""

    kind: Literal["merge"] = "merge"

    def retention(self) -> Retention:
        """Return the merging of changes."""
        return Merge()


class Recall(Learner):
    """Anchor recall: neighbours and the earlier self teach the old geometry of public anchors.

    No private text is stored, unless `replay` is set too. See `agents.exchange.anchors.anchor_recall`.
    """

    kind: Literal["anchor_recall"] = "anchor_recall"
    weight: float = Field(1.0, gt=0.0, description="Factor of the divergence in the total loss.")
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    anchor_share: float = Field(
        0.25,
        gt=0.0,
        lt=1.0,
        description="Share of anchors in each batch, where the exchange of the run has none.",
    )
    teacher: Literal["neighbours", "own"] = Field(
        "neighbours",
        description="neighbours: they and the agent's earlier self. own: the earlier self alone, which is "
        "learning without forgetting on public anchors.",
    )
    replay: MemoryConfig | None = Field(
        None, description="A memory for experience replay as well; none if null."
    )

    def retention(self) -> Retention | None:
        """Return experience replay if there is a memory."""
        return None if self.replay is None else ER(replay=self.replay)

    def exchange(self, of_run: Exchange) -> Exchange:
        """Return recall, together with the exchange of the run."""
        recall = AnchorRecall(
            weight=self.weight,
            temperature=self.temperature,
            teacher=self.teacher,
            anchor_share=of_run.anchor_fraction or self.anchor_share,
        )
        if of_run.kind == "isolated":
            return recall
        return Hybrid(strategies=(*of_run.parts, recall))


LEARNERS: dict[str, type[Learner]] = {
    "none": Plain,
    "frozen": Frozen,
    "er": Replay,
    "der": DarkReplay,
    "ewc": ElasticWeights,
    "merge": LargestChange,
    "anchor_recall": Recall,
}
"""Every kind of learner. To add one, write its class and add a line here."""
