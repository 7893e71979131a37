"""No division."""

from __future__ import annotations

from typing import Literal

from agentos.tasks.decomposition.base import Decomposition, WholeTask
from agentos.tasks.decomposition.division import Division, Part


class Undivided(Decomposition):
    """The whole task as one subtask."""

    kind: Literal["none"] = "none"

    def divide(self, whole: WholeTask) -> Division:
        """Return one part; see `Decomposition.divide`."""
        classes = len(whole.classes)
        return Division(classes, (Part("all", tuple((each,) for each in range(classes))),))
