"""Learners: objectives that keep a society from forgetting, added to those of its run."""

from __future__ import annotations

from abc import ABC
from typing import Literal

from pydantic import Field

from agents.continual import ER, EWC, Retention
from agents.continual.text_memory import MemoryConfig
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


LEARNERS: dict[str, type[Learner]] = {
    "none": Plain,
    "frozen": Frozen,
    "er": Replay,
    "ewc": ElasticWeights,
}
"""Every kind of learner. To add one, write its class and add a line here."""
