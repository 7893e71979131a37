"""Labels by one agent's own confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from agentos.learning.labelling.base import Labeller
from agents.answering import Answers
from agents.answering.answers import Rows
from protocols.errors import ConfigurationError


class Own(Labeller):
    """The agent's own probabilities: self-training, as a committee of one.

    Source: Lee, Pseudo-Label, 2013.
    """

    kind: Literal["own"] = "own"
    agent: int = Field(0, ge=0, description="Place of the agent among the answers.")

    def opinion(self, answers: Sequence[Answers]) -> Rows:
        """Return that agent's probabilities; zeros where it abstains."""
        if self.agent >= len(answers):
            raise ConfigurationError(
                "the agent that labels did not answer",
                expected=f"answers of agent {self.agent}",
                actual=f"answers of {len(answers)} agents",
                hint="lower label.agent",
            )
        own = answers[self.agent]
        return np.where(own.abstains[:, None], 0.0, own.probabilities)
